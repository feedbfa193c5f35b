/** An example as a runner checks it out: a copy of it in a folder of its own, and a `pulumi` in PATH, a real one or the harness's. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { findCli } from "../engine/cli.js";
import { descendants, watchOver } from "../sandbox/processes.js";

const repository = path.resolve(__dirname, "../../..");

/** What a runner has besides its checkouts: the state's backend, a home, an environment; all in one folder. */
export class Runner {
  private constructor(
    readonly folder: string,
    /** Which engine answers to `pulumi`. */
    readonly engine: string,
    readonly environment: NodeJS.ProcessEnv,
  ) {}

  /** @param environment added to what every run finds; the developer's own agent is not */
  static async make(folder: string, environment: NodeJS.ProcessEnv = {}): Promise<Runner> {
    const at = (name: string) => path.join(folder, name);
    for (const name of ["backend", "home", "bin"]) mkdirSync(at(name), { recursive: true });
    const cli = await findCli();
    if (cli === undefined) writeHarness(at("bin/pulumi"));
    const { SSH_AUTH_SOCK: _, ...outside } = process.env;
    return new Runner(folder, cli === undefined ? "harness" : `pulumi ${cli.version}`, {
      ...outside,
      PATH: [cli ? path.dirname(cli.program) : at("bin"), path.dirname(process.execPath), process.env.PATH].join(path.delimiter),
      PULUMI_HOME: at("home"),
      PULUMI_BACKEND_URL: pathToFileURL(at("backend")).href,
      PULUMI_CONFIG_PASSPHRASE: "test",
      PULUMI_SKIP_UPDATE_CHECK: "true",
      NO_COLOR: "1",
      // the examples' types are checked once, by types.test.ts
      PULUMI_NODEJS_TRANSPILE_ONLY: "true",
      ...environment,
    });
  }

  /** A copy of the example, with what `npm ci` would install. */
  checkOut(example: string, name: string): Checkout {
    const checkout = this.copy(path.join(repository, "examples", example), name);
    symlinkSync(path.join(repository, "node_modules"), path.join(checkout.folder, "node_modules"));
    return checkout;
  }

  /** A copy of a project's own files; nothing is installed. */
  copy(project: string, name: string): Checkout {
    const folder = path.join(this.folder, name);
    cpSync(project, folder, { recursive: true, filter: (file) => path.basename(file) !== "node_modules" });
    return new Checkout(folder, this.environment);
  }
}

/** How a command ended, and all that it showed. */
export interface Ended {
  status: number | null;
  output: string;
}

export class Checkout {
  constructor(
    readonly folder: string,
    readonly environment: NodeJS.ProcessEnv,
  ) {}

  run(program: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Ended> {
    return this.begin(program, args, environment).ended;
  }

  /** As {@link run}. @throws Error with all that was shown, unless the status is 0 */
  async must(program: string, ...args: string[]): Promise<string> {
    const { status, output } = await this.run(program, args);
    if (status !== 0) throw new Error(`${[program, ...args].join(" ")} ended with ${status}:\n${output}`);
    return output;
  }

  /** Without a terminal, in a process group of its own, as a runner starts a job. */
  begin(program: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): { job: ChildProcess; ended: Promise<Ended> } {
    const settings = { cwd: this.folder, env: { ...this.environment, ...environment }, detached: true };
    const job = spawn(program, args, { ...settings, stdio: ["ignore", "pipe", "pipe"] });
    watchOver(job, program);
    const shown = Promise.all([text(job.stdout), text(job.stderr)]);
    const closed = once(job, "close");
    return { job, ended: Promise.all([closed, shown]).then(([[status], [out, err]]) => ({ status, output: out + err })) };
  }
}

/** Ends a job as schedulers do, by SIGTERM and after a while SIGKILL: to its process group, or, with its container and little patience, to all that it has started. */
export async function endJob(job: ChildProcess, reach: "process group" | "container"): Promise<void> {
  const pid = job.pid ?? 0;
  const exited = once(job, "exit");
  const all = reach === "container" ? [pid, ...(await descendants(pid)).map((below) => below.pid)] : [-pid];
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    for (const one of all) killIfThere(one, signal);
    if (signal === "SIGTERM") await pause(reach === "container" ? 50 : 1_000);
  }
  await exited;
}

function killIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (thrown) {
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "ESRCH")) throw thrown;
  }
}

function writeHarness(file: string): void {
  const script = path.resolve(__dirname, "../engine/pulumi.js");
  writeFileSync(file, `#!/bin/sh\nexec '${process.execPath}' --enable-source-maps '${script}' "$@"\n`);
  chmodSync(file, 0o755);
}
