/** Moves of a guest back and forth while another account swaps names in its directories, each followed by a run that it leaves alone. */

import { readdir, rm } from "node:fs/promises";
import { isOurs } from "../../provider/core/errors.js";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { closeAllHosts } from "../../provider/host/connection.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { asRoot, ownedByQemu, qemusCommand, reached } from "../security/accounts.js";
import { created, Recorder, Stage } from "../storage-migration/stage.js";
import { type Aim, Attacker } from "./attacker.js";
import { describeOutside, makeOutside } from "./outside.js";

export interface Figures {
  moves: number;
  /** Ended well or were refused in words, and came to their end in the next run, which was left alone. */
  settled: number;
  /** Did not end in time. */
  hung: number;
  /** After which something outside was not as before. */
  outsideChanged: number;
  /** While a move was under way. */
  swapsInWindow: number;
  seconds: number;
  /** What was wrong, a line each. */
  wrong: string[];
}

/** Longer than any wait of ours, and than a move takes on a busy machine. */
const secondsAtMost = 150;

/** @param aims of the attacker, one move after the other */
export async function besiege(moves: number, aims: readonly Aim[], say: (line: string) => void): Promise<Figures> {
  const began = performance.now();
  const figures: Figures = { moves: 0, settled: 0, hung: 0, outsideChanged: 0, swapsInWindow: 0, seconds: 0, wrong: [] };
  const nextAim = () => (figures.moves < moves ? aims[figures.moves % aims.length] : undefined);
  while (nextAim()) await withScene(figures, nextAim, say);
  return { ...figures, seconds: Math.round((performance.now() - began) / 1000) };
}

/** Until all moves are made, or one has left what no later run can end: then the next ones begin with a new guest. */
async function withScene(figures: Figures, nextAim: () => Aim | undefined, say: (line: string) => void): Promise<void> {
  await using scene = await Siege.open();
  let isUsable = true;
  for (let aim = nextAim(); isUsable && aim; aim = nextAim()) {
    const { end, wrong, swaps } = await scene.attackedMove(aim);
    figures.moves++;
    figures.swapsInWindow += swaps;
    isUsable = wrong.length === 0;
    if (wrong.length === 0) figures.settled++;
    if (end === "hung") figures.hung++;
    if (wrong.some((line) => line.startsWith(changedOutside))) figures.outsideChanged++;
    figures.wrong.push(...wrong.map((line) => `move ${figures.moves}: ${line}`));
    say(`move ${figures.moves}: ${end}, ${swaps} swaps${wrong.map((line) => `\n    WRONG ${line}`).join("")}`);
  }
}

/** A refusal, or a move that stopped in its middle, says so to a user; anything else is a fault of ours. */
function inWords(reason: unknown): string {
  if (reason instanceof Unfinished) return `stopped: ${reason.message}`;
  return isOurs(reason) ? `refused: ${reason.message}` : `not ours: ${reason instanceof Error ? reason.stack : reason}`;
}

const changedOutside = "outside changed";

interface Attacked {
  end: string;
  swaps: number;
  wrong: string[];
}

export class Siege implements AsyncDisposable {
  #destination = "path2";

  private constructor(
    readonly stage: Stage,
    readonly attacker: Attacker,
    readonly host: object,
    readonly outside: string,
    readonly before: readonly string[],
  ) {}

  static async open(): Promise<Siege> {
    const stage = await Stage.open({ sandboxName: "siege", command: qemusCommand, disks: ownedByQemu });
    try {
      const outside = await stage.sandbox.storage("outside");
      await makeOutside(outside);
      const attacker = await Attacker.start({ above: stage.folder, names: ["path1", "path2"], outside });
      const host = { ...(await reached(stage.sandbox, { user: "deploy", sudoers: asRoot }, "sshd-siege")), privilege: "sudo" };
      return new Siege(stage, attacker, host, outside, await describeOutside(outside));
    } catch (reason) {
      await stage[Symbol.asyncDispose]();
      throw reason;
    }
  }

  /** One move that is attacked, and the run after it that is not. */
  async attackedMove(aim: Aim): Promise<Attacked> {
    const destination = this.stage.at(this.#destination);
    this.attacker.go(aim);
    const end = await this.#run(destination);
    const { swaps } = await this.attacker.stop();
    const wrong = await this.#changesOutside();
    if (/^(hung|not ours)/.test(end)) wrong.push(end);
    const later = wrong.length === 0 ? await this.#run(destination) : "moved";
    if (later !== "moved") wrong.push(`the next run, which was left alone: ${later}`);
    await this.#clear();
    this.#destination = this.#destination === "path2" ? "path1" : "path2";
    return { end, swaps, wrong };
  }

  /** How it ended, in a line. */
  async #run(destination: string): Promise<string> {
    const settings = { host: this.host, domain: { qmp: this.stage.guest.qmpSocket }, disks: ["vda"], destination, afterwards: "delete" };
    const moving = created(storageMigration, settings, new Recorder()).then(
      () => "moved",
      (reason: unknown) => inWords(reason),
    );
    const late = Promise.withResolvers<string>();
    const timer = setTimeout(() => late.resolve("hung"), 1000 * secondsAtMost);
    return Promise.race([moving, late.promise]).finally(() => clearTimeout(timer));
  }

  async #changesOutside(): Promise<string[]> {
    const after = await describeOutside(this.outside);
    const changed = after.filter((line) => !this.before.includes(line));
    const gone = this.before.filter((line) => !after.includes(line));
    return [...changed, ...gone].length === 0 ? [] : [`${changedOutside}: ${gone.join("; ")} → ${changed.join("; ")}`];
  }

  /** What the attacker could put back nowhere is in nobody's way in its attic; what it has torn away from a run is. */
  async #clear(): Promise<void> {
    for (const name of ["path1", "path2"]) {
      for (const file of await readdir(this.stage.at(name)))
        if (file.startsWith(".livedisk-")) await rm(this.stage.at(name, file), { force: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.attacker.end();
    await closeAllHosts();
    await this.stage[Symbol.asyncDispose]();
  }
}
