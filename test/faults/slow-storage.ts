/** Storage that needs 6 s for a call: strace(1) holds back the calls of the host's programs. */

import { Strace } from "../cuts/strace.js";
import { until } from "../sandbox/command.js";
import { descendants } from "../sandbox/processes.js";
import type { Sshd } from "../sandbox/sshd.js";
import type { ThirdEvent } from "./third-events.js";

const namesOf: Readonly<Record<ThirdEvent["call"], string>> = {
  fsync: "fsync,fdatasync",
  rename: "rename,renameat,renameat2,link,linkat",
  stat: "stat,lstat,newfstatat,statx",
};

/** Every thread counts its calls for itself: more would take a move minutes. */
const delayedAtMost = 2;

export class SlowStorage {
  readonly #rest: Promise<unknown>;

  private constructor(private readonly strace: Strace) {
    this.#rest = this.#detachInTime();
  }

  /** For what sshd has started, but for the tests' own proxy. @returns undefined where there is nothing */
  static async begin({ pid }: Pick<Sshd, "pid">, call: ThirdEvent["call"], file: string): Promise<SlowStorage | undefined> {
    const programs = (await descendants(pid)).filter(({ command }) => !/^(sshd|node|MainThread)/.test(command));
    if (programs.length === 0) return undefined;
    const pids = programs.map((program) => program.pid);
    const names = namesOf[call];
    const words = ["-f", "-e", `trace=${names}`, "-e", `inject=${names}:delay_enter=6000000:when=1`];
    return new SlowStorage(await Strace.attach(pids, words, file));
  }

  /** As fast as ever from here on. @returns how many calls were delayed */
  async end(): Promise<number> {
    await this.strace.detach();
    await this.#rest;
    return this.#delayed();
  }

  async #delayed(): Promise<number> {
    return (await this.strace.text()).split("(DELAYED)").length - 1;
  }

  async #detachInTime(): Promise<void> {
    const isEnough = async () => (this.strace.hasEnded || (await this.#delayed()) >= delayedAtMost ? true : undefined);
    await until(600, isEnough, () => "").catch(() => undefined);
    await this.strace.detach();
  }
}
