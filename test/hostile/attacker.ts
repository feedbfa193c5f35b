/** The account that swaps names in the directories of a move (attack.py). */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { createInterface, type Interface } from "node:readline";
import { z } from "zod";
import { mourn, watchOver } from "../sandbox/processes.js";
import { qemu } from "../security/accounts.js";

/** No account of the machine has it. It is in QEMU's group, which may write in the directories. */
const uid = 61_003;

const program = readFileSync(path.resolve(__dirname, "../../../test/hostile/attack.py"), "utf8");
const told = z.object({ swaps: z.int(), lost: z.int() });

/** `new-files`: only what a run is just making, all the time, for links to files. */
export type Aim = "everything" | "new-files";

export class Attacker {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: Interface) {
    this.#child = child;
    this.#lines = lines[Symbol.asyncIterator]();
  }

  /** @param above holds the directories, which are named by `names` */
  static async start({ above, names, outside }: { above: string; names: readonly string[]; outside: string }): Promise<Attacker> {
    const as = [`--reuid=${uid}`, `--regid=${uid}`, `--groups=${qemu.id}`];
    const words = [...as, "python3", "-I", "-c", program, above, outside, ...names];
    const child = watchOver(spawn("setpriv", words, { stdio: ["pipe", "pipe", "inherit"], env: { PATH: "/usr/bin:/bin" } }), "an attacker");
    assert(child.stdout);
    const attacker = new Attacker(child, createInterface({ input: child.stdout }));
    await attacker.#line();
    return attacker;
  }

  go(aim: Aim): void {
    this.#child.stdin?.write(`go ${aim}\n`);
  }

  /** It puts back what it can. @returns how often it has swapped a name since `go`, and how many files it could not put back */
  async stop(): Promise<z.output<typeof told>> {
    this.#child.stdin?.write("stop\n");
    return told.parse(JSON.parse(await this.#line()));
  }

  end(): Promise<void> {
    return mourn(this.#child, "SIGTERM");
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    assert(!done, "the attacker has ended by itself");
    return value;
  }
}
