/** strace(1), attached to processes that run already. */

import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { until } from "../sandbox/command.js";
import { mourn, watchOver } from "../sandbox/processes.js";

/** The signal, and then the stop: one that is attached to while it is stopped already tells the stop alone. With `-f` a line begins with its process. */
const injectedStop = /^(\d*) *--- SIGSTOP \{.*\n.*--- stopped by SIGSTOP/m;

export class Strace {
  private constructor(
    private readonly child: ChildProcess,
    private readonly file: string,
  ) {}

  /** @param file where the trace goes; what strace says there, it says before the process goes on */
  static async attach(pids: readonly number[], words: readonly string[], file: string): Promise<Strace> {
    const processes = pids.flatMap((pid) => ["-p", String(pid)]);
    const child = watchOver(spawn("strace", ["-o", file, ...words, ...processes], { stdio: ["ignore", "ignore", "pipe"] }), "a strace");
    let said = "";
    child.stderr?.on("data", (piece: Buffer) => {
      said += piece.toString();
    });
    // one that has ended meanwhile is told, too
    const isAttached = () =>
      (said.match(/ attached( with \d+ threads)?$|attach: /gm) ?? []).length >= pids.length || hasEnded(child) ? "yes" : undefined;
    await until(10, isAttached, () => `strace is not attached: ${said}`);
    return new Strace(child, file);
  }

  get hasEnded(): boolean {
    return hasEnded(this.child);
  }

  async text(): Promise<string> {
    return readFile(this.file, "utf8").catch(() => "");
  }

  /** The process that an injected signal has stopped, or undefined where the traced one has ended. */
  stopped(): Promise<number | undefined> {
    const look = async () => {
      const isOver = hasEnded(this.child);
      const found = injectedStop.exec(await this.text());
      return found || isOver ? { pid: found ? Number(found[1]) : undefined } : undefined;
    };
    return until(30, look, () => "Nothing was stopped.").then(({ pid }) => pid);
  }

  /** Whether a fault was injected: what `attach` was told to. */
  async hasInjected(): Promise<boolean> {
    const text = await this.text();
    return /INJECTED|killed by SIGKILL/.test(text) || injectedStop.test(text);
  }

  /** Waits for the end of what is traced. */
  async end(): Promise<void> {
    await until(
      60,
      () => (hasEnded(this.child) ? "yes" : undefined),
      () => "The traced process does not end.",
    );
  }

  /** What is stopped stays so. */
  async detach(): Promise<void> {
    await mourn(this.child, "SIGTERM");
  }
}

/** strace ends as the traced process did: also by its signal. */
function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
