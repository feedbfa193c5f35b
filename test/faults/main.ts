/**
 * `npm run faults -- [--all] [--pairs <number>] [--continue] [--seed <number>] [--least <number>] [--workers <number>] [--only <part of a point's title>] [--json]`:
 * records a whole move of each strategy, breaks moves at the points of it, and looks at all that must hold. See docs/testing.md.
 */

import { parseArgs } from "node:util";
import { messageOf } from "../../provider/core/errors.js";
import { run } from "../sandbox/command.js";
import { installMissing } from "../sandbox/install.js";
import { allPoints, type Point, pairs, spread, titleOf } from "./points.js";
import { Progress } from "./progress.js";
import { recordAll } from "./recording.js";
import { runPoints } from "./run.js";
import { withThirdEvents } from "./third-events.js";

const options = {
  all: { type: "boolean" },
  continue: { type: "boolean" },
  seed: { type: "string" },
  least: { type: "string", default: "200" },
  pairs: { type: "string", default: "0" },
  workers: { type: "string", default: "2" },
  only: { type: "string", multiple: true },
  json: { type: "boolean" },
} as const;

async function main(): Promise<number> {
  const { values } = parseArgs({ options });
  const said = (line: string) => console.log(line);
  await installMissing({ install: "allow", say: said });
  const began = performance.now();
  const progress = await progressOf(values, said);
  const points = progress.left();
  said(`${points.length} points of ${progress.points.length}, ${values.workers} workers`);
  await runPoints(points, Number(values.workers), { said, done: (point, found) => progress.note(point, found) });
  const { passed, ...figures } = progress.figures();
  const seconds = Math.round((performance.now() - began) / 1000) + progress.secondsBefore;
  progress.spent(seconds);
  if (values.json) said(JSON.stringify({ commit: await commit(), ...figures, seconds }));
  else said(`${figures.points} points, ${figures.pairs} of them pairs, ${passed} passed, ${figures.failed} failed, ${seconds} s`);
  return figures.failed > 0 || passed === 0 ? 1 : 0;
}

/** With --continue the last one, if it was of this commit and these points. */
async function progressOf(values: Wanted & { continue?: boolean | undefined }, said: (line: string) => void): Promise<Progress> {
  const { all, seed, least, pairs: pairsWanted, only } = values;
  const plan = JSON.stringify({ commit: await commit(), all, seed, least, pairs: pairsWanted, only });
  const begun = values.continue ? Progress.ofLastRun(plan) : undefined;
  return begun ?? Progress.start(plan, await planned(values, said));
}

interface Wanted {
  all?: boolean | undefined;
  seed?: string | undefined;
  least: string;
  pairs: string;
  workers: string;
  only?: string[] | undefined;
}

async function planned(
  { all, seed = String(Date.now() % 1_000_000), least, pairs: pairsWanted, workers, only = [] }: Wanted,
  said: (line: string) => void,
): Promise<Point[]> {
  const recordings = await recordAll(Number(workers), said);
  if (!all) said(`seed ${seed}`);
  const points = all ? allPoints(recordings) : spread(recordings, Number(seed), Number(least));
  const twice = withThirdEvents(pairs(recordings, Number(seed), Number(pairsWanted)), Number(seed));
  return [...points, ...twice].filter((point) => only.every((part) => titleOf(point).includes(part)));
}

async function commit(): Promise<string> {
  return (await run("git", ["rev-parse", "HEAD"]).catch(() => "unknown")).trim();
}

main().then(
  (status) => process.exit(status),
  (reason: unknown) => {
    console.error(messageOf(reason));
    process.exit(1);
  },
);
