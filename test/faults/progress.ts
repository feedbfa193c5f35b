/** How far a run has come, kept in a file, so that one that was cut can go on. */

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { UserError } from "../../provider/core/errors.js";
import { cacheFolder } from "../sandbox/kernel.js";
import { type Point, titleOf } from "./points.js";
import type { Failure } from "./run.js";

interface Kept {
  points: Point[];
  /** By a point's place in `points`. */
  passed: number[];
  failed: { index: number; failure: Failure }[];
  seconds: number;
}

/** Of the last run. */
const lastRun = path.join(cacheFolder, "faults", "progress.json");

export class Progress {
  private constructor(
    private readonly kept: Kept,
    private readonly file: string,
  ) {}

  static start(points: Point[], file = lastRun): Progress {
    const progress = new Progress({ points, passed: [], failed: [], seconds: 0 }, file);
    progress.#save();
    return progress;
  }

  /** @throws UserError if no run has been begun */
  static goOn(file = lastRun): Progress {
    if (!existsSync(file)) throw new UserError("Unable to continue: no run has been begun here. Run `npm run faults` without --continue.");
    return new Progress(JSON.parse(readFileSync(file, "utf8")) as Kept, file);
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

  note(point: Point, failure: Failure | undefined): void {
    const index = this.kept.points.indexOf(point);
    if (index < 0) throw new Error(`The point "${titleOf(point)}" is none of this run.`);
    if (failure === undefined) this.kept.passed.push(index);
    else this.kept.failed.push({ index, failure });
    this.#save();
  }

  spent(seconds: number): void {
    this.kept.seconds = seconds;
    this.#save();
  }

  /** Of what was tried: how many were broken twice. */
  pairs(): number {
    const left = new Set(this.left());
    return this.kept.points.filter((point) => point.second !== undefined && !left.has(point)).length;
  }

  figures(): { passed: number; failed: Failure[] } {
    return { passed: this.kept.passed.length, failed: this.kept.failed.map(({ failure }) => failure) };
  }

  #save(): void {
    const { file } = this;
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(`${file}.new`, JSON.stringify(this.kept));
    renameSync(`${file}.new`, file);
  }
}
