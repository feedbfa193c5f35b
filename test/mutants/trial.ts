/** One mutant: the unit tests that reach its file, then, if they all pass, those of `npm test`. */

import type { Copies } from "./copy.js";
import type { Mutant } from "./edit.js";
import { type Limits, runFiles } from "./files.js";
import { nearest, type Reach } from "./reach.js";

export interface Verdict {
  mutant: Mutant;
  /** `unit`, `usual`: the tier of the test that failed. */
  killedBy?: { tier: "unit" | "usual"; file: string; title: string };
  /** Not all test files that reach it had their turn. */
  cutAfterSeconds?: number;
}

export interface Tests {
  /** As `test/host/run.test.js`; such that pass with nothing changed. */
  unit: readonly string[];
  usual: readonly string[];
}

export interface Surroundings {
  copies: Copies;
  reach: Reach;
  tests: Tests;
  baseline: Baseline;
  /** For the search in the usual tier. */
  seconds: number;
  stop: AbortSignal;
}

/** What test files do with nothing changed. */
export class Baseline {
  readonly #milliseconds = new Map<string, number>();
  readonly #failing = new Map<string, Promise<boolean>>();

  constructor(
    private readonly copies: Copies,
    private readonly stop: AbortSignal,
    private readonly said: (line: string) => void,
  ) {}

  /** Four times as long as with nothing changed, a minute at least. */
  readonly fileSeconds = (file: string): number => Math.max(60, Math.ceil(((this.#milliseconds.get(file) ?? 150_000) * 4) / 1000));

  /** Whether it fails with nothing changed; such a file says nothing of a mutant, and is named. Asked once. */
  fails(file: string): Promise<boolean> {
    const asked = this.#failing.get(file) ?? this.#ask(file);
    this.#failing.set(file, asked);
    return asked;
  }

  async #ask(file: string): Promise<boolean> {
    const passed = (_: string, milliseconds: number) => void this.#milliseconds.set(file, milliseconds);
    const ending = await runFiles(this.copies.unchanged, [file], { fileSeconds: () => 600, stop: this.stop, passed });
    if (ending.ended === "failed") this.said(`Left out, it fails with nothing changed: ${file}: ${ending.title}`);
    return ending.ended !== "passed";
  }
}

export async function tryOut(mutant: Mutant, surroundings: Surroundings): Promise<Verdict> {
  const { copies, reach, tests, seconds } = surroundings;
  const copy = copies.of(mutant);
  try {
    const byUnit = await firstFailure(copy, nearest(mutant.file, tests.unit, reach), surroundings);
    if (byUnit.killer) return { mutant, killedBy: { tier: "unit", ...byUnit.killer } };
    const until = AbortSignal.timeout(seconds * 1000);
    const byUsual = await firstFailure(copy, nearest(mutant.file, tests.usual, reach), surroundings, until);
    if (byUsual.killer) return { mutant, killedBy: { tier: "usual", ...byUsual.killer } };
    return byUsual.isCut ? { mutant, cutAfterSeconds: seconds } : { mutant };
  } finally {
    copies.remove(copy);
  }
}

interface Found {
  killer?: { file: string; title: string };
  isCut?: true;
}

/** Goes on behind a file that fails with nothing changed, too. */
async function firstFailure(copy: string, files: readonly string[], around: Surroundings, until?: AbortSignal): Promise<Found> {
  const { baseline, stop } = around;
  const limits: Limits = { fileSeconds: baseline.fileSeconds, stop, ...(until && { until }) };
  const ending = await runFiles(copy, files, limits);
  if (ending.ended === "cut") return { isCut: true };
  if (ending.ended === "passed") return {};
  if (!(await baseline.fails(ending.file))) return { killer: { file: ending.file, title: ending.title } };
  return firstFailure(copy, files.slice(files.indexOf(ending.file) + 1), around, until);
}

export function inWords({ killedBy, cutAfterSeconds }: Verdict): string {
  if (killedBy) return `killed by ${killedBy.file.replace(/\.js$/, ".ts")}: ${killedBy.title}`;
  return cutAfterSeconds === undefined ? "survived" : `survived within ${cutAfterSeconds} s`;
}
