/** A run in a process of its own, as every `up` is one: its locks are those of a process that ends. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import type { Properties } from "../../provider/core/lifecycle.js";
import { until } from "../sandbox/command.js";
import { descendants, mourn, watchOver } from "../sandbox/processes.js";

/** Until one of the lines is so, or whoever says them is over. */
export async function saysOrEnds(lines: () => readonly string[], what: RegExp, isOver: () => boolean): Promise<void> {
  const there = () => (isOver() || lines().some((line) => what.test(line)) ? true : undefined);
  await until(120, there, () => `It does not say ${what}: ${lines().slice(-3).join("; ")}`);
}

const program = path.resolve(__dirname, "../hypervisor/libvirt/run-alone.js");

export class Runner {
  #text = "";
  readonly #child: ChildProcess;
  /** How it ended: what it said last, if it failed. */
  readonly ending: Promise<{ failed: "no" } | { failed: "yes"; message: string }>;

  /**
   * A create of a StorageMigration; `before`: words before the command line, such as `ip netns exec …`; `asleepAt`: it falls asleep with the
   * first line that is like this.
   */
  constructor(settings: Properties, before: readonly string[] = [], asleepAt?: RegExp) {
    const pattern = asleepAt === undefined ? [] : [asleepAt.source];
    const [command = "", ...words] = [...before, process.execPath, program, "create", JSON.stringify(settings), ...pattern];
    this.#child = watchOver(spawn(command, words, { stdio: ["ignore", "pipe", "inherit"] }), "a runner");
    this.#child.stdout?.on("data", (piece) => (this.#text += piece));
    this.ending = once(this.#child, "close").then(([status]) =>
      status === 0 ? { failed: "no" as const } : { failed: "yes" as const, message: this.lines.at(-1) ?? "" },
    );
  }

  get lines(): string[] {
    return this.#text.split("\n").filter((line) => line !== "");
  }

  get isOver(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Until it says so, or is over. */
  says(what: RegExp): Promise<void> {
    return saysOrEnds(
      () => this.lines,
      what,
      () => this.isOver,
    );
  }

  /** As a machine that hangs: its connection stays, and says nothing. */
  hang(): void {
    this.#child.kill("SIGSTOP");
  }

  /** Whatever runs of it by now, as a laptop whose lid is closed. */
  sleep(): Promise<void> {
    return this.#signal("SIGSTOP");
  }

  wake(): Promise<void> {
    return this.#signal("SIGCONT");
  }

  async #signal(signal: "SIGSTOP" | "SIGCONT"): Promise<void> {
    for (const { pid } of await descendants(this.#child.pid ?? 0)) process.kill(pid, signal);
    this.#child.kill(signal);
  }

  kill(): Promise<void> {
    return mourn(this.#child, "SIGKILL");
  }
}
