/** A writing guest's disks go back and forth between two storages; afterwards everything is as it was, and every record is there. */

import { copyFile, mkdtemp, readdir, rm } from "node:fs/promises";
import path from "node:path";
import type { Properties } from "../../provider/core/lifecycle.js";
import { chainOf, checkImage } from "../sandbox/check.js";
import { oneLayer, twoLayers } from "../sandbox/disks.js";
import { type Move, Stage } from "../storage-migration/stage.js";
import { LastingResource } from "./lasting-resource.js";
import { isLevel, type Level, levelsOf, median, type Sample } from "./levels.js";
import { takeSample } from "./sample.js";

export interface SoakOptions {
  /** With `afterwards: "delete"`. */
  moves: number;
  /** Moves of the round with `afterwards: "quarantine"` that follows. */
  quarantineMoves: number;
  /** Between two checks of all records, which halt the guest for a moment. The last check, with the guest ended, is always made. */
  movesBetweenChecks: number;
  onProgress(line: string): void;
}

/** The last line of `npm run soak -- --json`. */
export interface Figures {
  moves: number;
  quarantineMoves: number;
  /** Quarantined images, which must be one for each disk of each move of that round. */
  quarantined: number;
  disks: number;
  seconds: number;
  checks: number;
  acknowledged: number;
  lost: number;
  corrupt: number;
  /** How long the guest's I/O waited in a switch. */
  pauseMs: { median: number; longest: number };
  levels: Level[];
  /** What did not stay level, or was left behind; empty when all is well. */
  wrong: string[];
}

/** One disk is a chain, the other a single image. */
const disks = (at: (...names: string[]) => string) => [
  { id: "vda", storage: at("path1"), layers: twoLayers(), virtualMiB: 128 },
  { id: "vdb", storage: at("path1"), layers: oneLayer("vdb.qcow2"), virtualMiB: 128 },
];
const activeNames: Readonly<Record<string, string>> = { vda: "old.qcow2", vdb: "vdb.qcow2" };
const ids = Object.keys(activeNames);

const repository = path.resolve(__dirname, "../../..");

/** @throws Error if a move fails */
export async function soak(options: SoakOptions): Promise<Figures> {
  const began = performance.now();
  await using stage = await Stage.open({ sandboxName: "soak", disks });
  await using resource = await LastingResource.start(repository, options.onProgress);
  const course = new Course(stage, resource);
  await course.adopt();
  await course.backAndForth(options);
  const quarantined = await course.quarantine(options.quarantineMoves);
  await course.end();
  const { samples, pauses, total, wrong } = course;
  const levels = levelsOf(samples);
  const risen = levels.filter((level) => !isLevel(level));
  const { moves, quarantineMoves } = options;
  return {
    ...{ moves, quarantineMoves, quarantined, disks: ids.length },
    seconds: Math.round((performance.now() - began) / 1000),
    ...total,
    pauseMs: { median: median(pauses), longest: Math.max(...pauses) },
    levels,
    wrong: [...wrong, ...risen.map(({ quantity, lastQuarter, bound }) => `${quantity} has risen to ${lastQuarter}, above ${bound}`)],
  };
}

class Course {
  readonly samples: Sample[] = [];
  readonly pauses: number[] = [];
  readonly total = { checks: 0, acknowledged: 0, lost: 0, corrupt: 0 };
  readonly wrong: string[] = [];
  #at = "path1";

  constructor(
    readonly stage: Stage,
    readonly resource: LastingResource,
  ) {}

  async adopt(): Promise<void> {
    await this.resource.up(this.#wanted({ afterwards: "delete" }));
  }

  async backAndForth({ moves, movesBetweenChecks, onProgress }: SoakOptions): Promise<void> {
    const { guest, operator, sandbox } = this.stage;
    const storages = ["path1", "path2"].map((name) => this.stage.at(name));
    const sampled = { guest, operator, sshd: sandbox.sshd, provider: this.resource.provider.pid, storages };
    for (let move = 1; move <= moves; move++) {
      await this.#move("delete");
      this.samples.push(await takeSample(sampled));
      if (move % movesBetweenChecks === 0) await this.#checkHalted();
      if (move % movesBetweenChecks === 0)
        onProgress(`${move} moves, ${this.total.lost} records lost, ${this.total.corrupt} clusters corrupt`);
    }
  }

  /** @returns how many images the moves have left */
  async quarantine(moves: number): Promise<number> {
    for (let move = 1; move <= moves; move++) {
      const before = await this.#quarantined();
      await this.#move("quarantine");
      const more = (await this.#quarantined()) - before;
      if (more !== ids.length) this.wrong.push(`quarantine move ${move} left ${more} images, not ${ids.length}`);
    }
    return this.#quarantined();
  }

  /** The guest ends; everything is checked, and looked for. */
  async end(): Promise<void> {
    const { stage } = this;
    await stage.operator.close();
    await stage.guest.stop();
    for (const id of ids) await this.#check(stage.at(this.#at, activeNames[id] ?? ""), id);
    await this.resource[Symbol.asyncDispose]();
    const allowed = /\/common\.qcow2$|\.lm-[0-9a-f]{8}-\d{8}T\d{6}Z$/;
    const active = ids.map((id) => stage.at(this.#at, activeNames[id] ?? ""));
    this.wrong.push(...(await stage.sandbox.leftovers(active)).filter((line) => !allowed.test(line)));
  }

  async #move(afterwards: "delete" | "quarantine"): Promise<void> {
    this.#at = this.#at === "path1" ? "path2" : "path1";
    const { moves } = (await this.resource.up(this.#wanted({ afterwards }))) as { moves: Record<string, Move> };
    for (const id of ids) {
      const wanted = this.stage.at(this.#at, activeNames[id] ?? "");
      const active = await this.stage.operator.activeImage(id);
      if (active !== wanted) throw new Error(`${id} is at ${active}, not at ${wanted}.`);
    }
    this.pauses.push(moves.vda?.pauseMs ?? Number.NaN);
    await this.stage.guest.waitForRecords(1);
  }

  #wanted(more: Properties): Properties {
    return { ...this.stage.arguments, disks: ids, destination: this.stage.at(this.#at), ...more };
  }

  /** On a copy that is made while the guest is halted: QEMU has flushed all that it holds then (vm_stop in its cpus.c). */
  async #checkHalted(): Promise<void> {
    const { stage } = this;
    const folder = await mkdtemp(path.join(stage.sandbox.folder, "check-"));
    await stage.operator.execute("stop");
    try {
      for (const id of ids) {
        const chain = await chainOf(stage.at(this.#at, activeNames[id] ?? ""));
        for (const layer of chain) await copyFile(layer.path, path.join(folder, path.basename(layer.path)));
        await this.#check(path.join(folder, activeNames[id] ?? ""), id);
      }
    } finally {
      await stage.operator.execute("cont");
      await rm(folder, { recursive: true });
    }
  }

  async #check(image: string, id: string): Promise<void> {
    const { acknowledged, lost, corrupt } = await checkImage(image, this.stage.guest.disk(id));
    const { total } = this;
    total.checks++;
    total.acknowledged = Math.max(total.acknowledged, acknowledged);
    total.lost += lost.length;
    total.corrupt += corrupt.length;
  }

  async #quarantined(): Promise<number> {
    const all = await Promise.all(["path1", "path2"].map((name) => readdir(this.stage.at(name))));
    return all.flat().filter((name) => /\.lm-[0-9a-f]{8}-\d{8}T\d{6}Z$/.test(name)).length;
  }
}
