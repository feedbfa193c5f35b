/** Programs of this machine, run by the tests. The provider itself runs none. */

import { execFile } from "node:child_process";

export interface CommandOptions {
  /** Default: this process's own. */
  folder?: string;
  environment?: NodeJS.ProcessEnv;
  /** @default 120 */
  timeoutSeconds?: number;
}

/** Runs a program without a shell. @returns its standard output @throws Error with the program's own words when it fails */
export function run(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const settings = {
    cwd: options.folder,
    env: options.environment ?? process.env,
    timeout: (options.timeoutSeconds ?? 120) * 1000,
    maxBuffer: 256 * 1024 * 1024,
  };
  return new Promise((resolve, reject) => {
    execFile(program, args, settings, (failure, stdout, stderr) => {
      if (failure === null) resolve(stdout);
      else reject(new Error(`Unable to run "${[program, ...args].join(" ")}": ${stderr.trim() || failure.message}`, { cause: failure }));
    });
  });
}

/** What a condition last answered, as soon as it is not undefined. @throws Error made by `late` once the deadline has passed */
export async function until<T>(
  deadlineSeconds: number,
  condition: () => T | undefined | Promise<T | undefined>,
  late: () => string,
): Promise<T> {
  const end = Date.now() + deadlineSeconds * 1000;
  for (;;) {
    const answer = await condition();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(late());
    await new Promise((wake) => setTimeout(wake, 25));
  }
}
