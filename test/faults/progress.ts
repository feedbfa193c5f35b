/** How far a run has come, kept in a file, so that one that was cut can go on. */

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { cacheFolder } from "../sandbox/kernel.js";
import { type Point, titleOf } from "./points.js";
import type { Failure, Found } from "./run.js";

interface Kept {
  /** What the run is of: the same commit, and the same options. */
  plan: string;
  points: Point[];
  /** By a point's place in `points`. */
  passed: number[];
  failed: { index: number; failure: Failure }[];
  /** Third events that came. */
  thirdEvents: number;
  /** Acknowledged records that were lost. */
  lost: number;
  /** Files of others that were removed or changed. */
  foreign: number;
  seconds: number;
}

export type Figures = Pick<Kept, "thirdEvents" | "lost" | "foreign"> & { points: number; pairs: number; passed: number; failed: number };

/** Of the last run. */
const lastRun = path.join(cacheFolder, "faults", "progress.json");

export class Progress {
  private constructor(
    private readonly kept: Kept,
    private readonly file: string,
  ) {}

  static start(plan: string, points: Point[], file = lastRun): Progress {
    const progress = new Progress({ plan, points, passed: [], failed: [], thirdEvents: 0, lost: 0, foreign: 0, seconds: 0 }, file);
    progress.#save();
    return progress;
  }

  /** Undefined where the last run was none of this plan. */
  static ofLastRun(plan: string, file = lastRun): Progress | undefined {
    if (!existsSync(file)) return undefined;
    const kept = JSON.parse(readFileSync(file, "utf8")) as Kept;
    return kept.plan === plan ? new Progress(kept, file) : undefined;
  }

  get points(): readonly Point[] {
    return this.kept.points;
  }

  get secondsBefore(): number {
    return this.kept.seconds;
  }

  /** What has not been tried. */
  left(): Point[] {
    const done = new Set([...this.kept.passed, ...this.kept.failed.map(({ index }) => index)]);
    return this.kept.points.filter((_, index) => !done.has(index));
  }

  note(point: Point, { failure, thirdEvent, lost = 0, foreign }: Found): void {
    const index = this.kept.points.indexOf(point);
    if (index < 0) throw new Error(`The point "${titleOf(point)}" is none of this run.`);
    if (failure === undefined) this.kept.passed.push(index);
    else this.kept.failed.push({ index, failure });
    if (thirdEvent === "came") this.kept.thirdEvents++;
    this.kept.lost += lost;
    this.kept.foreign += foreign.length;
    this.#save();
  }

  spent(seconds: number): void {
    this.kept.seconds = seconds;
    this.#save();
  }

  /** Of what was tried. */
  figures(): Figures {
    const { points, passed, failed, thirdEvents, lost, foreign } = this.kept;
    const left = new Set(this.left());
    const pairs = points.filter((point) => point.second !== undefined && !left.has(point)).length;
    const count = passed.length + failed.length;
    return { points: count, pairs, thirdEvents, passed: passed.length, failed: failed.length, lost, foreign };
  }

  #save(): void {
    const { file } = this;
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(`${file}.new`, JSON.stringify(this.kept));
    renameSync(`${file}.new`, file);
  }
}
