/**
 * `npm run mutants -- [--seed <number>] [--count <number>] [--unit-only] [--only <part of a path>] [--seconds <number>] [--jobs <number>] [--json]`:
 * breaks the provider in one place at a time, and sees whether a test notices. See docs/testing.md.
 */

import os from "node:os";
import { parseArgs } from "node:util";
import { messageOf } from "../../provider/core/errors.js";
import { installMissing } from "../sandbox/install.js";
import { nameOf, testFiles } from "../suite.js";
import { isIn } from "../tiers.js";
import { Compiler } from "./compiler.js";
import { Copies } from "./copy.js";
import { draw } from "./draw.js";
import { type Mutant, titleOf } from "./edit.js";
import { nearest, Reach, sourcesIn } from "./reach.js";
import { Baseline, inWords, type Surroundings, type Tests, tryOut, type Verdict } from "./trial.js";

const options = {
  seed: { type: "string", default: String(Date.now() % 1_000_000) },
  count: { type: "string", default: "40" },
  only: { type: "string", default: "" },
  seconds: { type: "string", default: "240" },
  jobs: { type: "string", default: String(os.availableParallelism()) },
  "unit-only": { type: "boolean", default: false },
  json: { type: "boolean", default: false },
} as const;

/** Of all mutants, so many are killed at least. */
const leastKilled = 0.7;

const stop = new AbortController();
const said = (line: string) => console.log(line);

async function main(): Promise<number> {
  const { values } = parseArgs({ options });
  const [count, seconds, jobs] = [values.count, values.seconds, values.jobs].map(wholeNumber) as [number, number, number];
  await installMissing({ install: "allow", say: said });
  said(`seed ${values.seed}`);
  const mutants = drawn(wholeNumber(values.seed), count, values.only);
  // not before: a draw hears no signal, and has nothing to remove
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort(new Error("Ended as asked.")));
  const copies = new Copies();
  try {
    const reach = new Reach(sourcesIn("provider", "test"));
    const baseline = new Baseline(copies, stop.signal, said);
    const tests = await passing(mutants, reach, baseline, { jobs, isUnitOnly: values["unit-only"] });
    const surroundings: Surroundings = { copies, reach, tests, baseline, seconds, stop: stop.signal };
    const verdicts = await inTurn(mutants, jobs, (mutant) => tried(mutant, surroundings));
    return told(verdicts, wholeNumber(values.seed), values.json);
  } finally {
    copies.remove(copies.folder);
  }
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`"${text}" is not a whole number.`);
  return Number(text);
}

function drawn(seed: number, count: number, only: string): Mutant[] {
  const sources = sourcesIn("provider");
  const compiler = new Compiler(sources);
  const wanted = new Map([...sources].filter(([file]) => file.includes(only)));
  return draw(wanted, seed, count, (mutant) => compiler.accepts(mutant));
}

/** Unit tests have all been run with nothing changed; of the others it is asked where one fails. */
async function passing(
  mutants: readonly Mutant[],
  reach: Reach,
  baseline: Baseline,
  { jobs, isUnitOnly }: { jobs: number; isUnitOnly: boolean },
): Promise<Tests> {
  const all = testFiles().map(nameOf);
  const isUnit = (file: string) => isIn("unit", file.replace(/^test\//, ""));
  const unit = all.filter((file) => isUnit(file) && mutants.some((mutant) => nearest(mutant.file, [file], reach).length > 0));
  const usual = isUnitOnly ? [] : all.filter((file) => isIn("usual", file.replace(/^test\//, "")) && !isUnit(file));
  const fails = await inTurn(unit, jobs, (file) => baseline.fails(file));
  said(`${mutants.length} mutants; ${unit.length} files of unit tests reach them, ${fails.filter((one) => one).length} left out`);
  return { unit: unit.filter((_, index) => !fails[index]), usual };
}

async function tried(mutant: Mutant, surroundings: Surroundings): Promise<Verdict> {
  const verdict = await tryOut(mutant, surroundings);
  if (!stop.signal.aborted) said(`${titleOf(mutant)}\n    ${inWords(verdict)}`);
  return verdict;
}

/** So many at a time; the results in the order of the list. */
async function inTurn<T, R>(list: readonly T[], jobs: number, work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const waiting = [...list.entries()];
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      stop.signal.throwIfAborted();
      results[next[0]] = await work(next[1]);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return results;
}

function told(verdicts: readonly Verdict[], seed: number, isJson: boolean): number {
  const killed = verdicts.filter(({ killedBy }) => killedBy !== undefined);
  const byUnit = killed.filter(({ killedBy }) => killedBy?.tier === "unit").length;
  const survivors = verdicts.filter(({ killedBy }) => killedBy === undefined);
  if (!isJson && survivors.length > 0) said("Survivors:");
  if (!isJson) for (const { mutant } of survivors) said(`  ${titleOf(mutant)}`);
  const list = survivors.map(({ mutant: { file, line, kind, diff } }) => ({ file, line, kind, diff }));
  if (isJson)
    said(JSON.stringify({ seed, mutants: verdicts.length, killed: killed.length, byUnit, survived: survivors.length, survivors: list }));
  else said(`${verdicts.length} mutants: ${killed.length} killed (${byUnit} by the unit tier), ${survivors.length} survived`);
  return verdicts.length > 0 && killed.length >= leastKilled * verdicts.length ? 0 : 1;
}

main().then(
  (status) => process.exit(status),
  (reason: unknown) => {
    console.error(messageOf(reason));
    process.exit(1);
  },
);
