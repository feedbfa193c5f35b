/** `npm run cuts -- [--all | --seed <number> --count <number>] [--only <part of a point's title>] [--workers <number>] [--json]`: see docs/testing.md. */

import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { messageOf } from "../../provider/core/errors.js";
import { installMissing } from "../sandbox/install.js";
import { isFailure, type Point, pointsOf, scenes, spread, titleOf } from "./points.js";
import { recordedCalls, tryPoint } from "./trial.js";

const options = {
  all: { type: "boolean" },
  seed: { type: "string", default: String(Date.now() % 1_000_000) },
  count: { type: "string", default: "300" },
  only: { type: "string", multiple: true },
  workers: { type: "string", default: "2" },
  json: { type: "boolean" },
} as const;

interface Figures {
  cuts: number;
  errors: number;
  bad: number;
  /** Calls that this run of the switch did not make: how often it asks and waits differs. */
  unreached: number;
}

const say = (line: string) => console.log(line);

async function main(): Promise<number> {
  const { values } = parseArgs({ options });
  await installMissing({ install: "allow", say });
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  const began = performance.now();
  const points: Point[] = [];
  for (const scene of scenes) points.push(...pointsOf(scene, await recordedCalls(scene)));
  const wanted = points.filter((point) => (values.only ?? []).every((part) => titleOf(point).includes(part)));
  const left = spread(wanted, Number(values.seed), values.all ? wanted.length : Number(values.count));
  say(`seed ${values.seed}: ${left.length} points of ${points.length}, ${values.workers} workers`);
  const figures: Figures = { cuts: 0, errors: 0, bad: 0, unreached: 0 };
  await Promise.all(Array.from({ length: Number(values.workers) }, () => tryAll(left, figures)));
  const seconds = Math.round((performance.now() - began) / 1000);
  if (values.json) say(JSON.stringify({ commit, ...figures, seconds }));
  else say(`${figures.cuts} cuts, ${figures.errors} errors, ${figures.bad} bad, ${seconds} s`);
  return figures.bad > 0 || figures.cuts + figures.errors === 0 ? 1 : 0;
}

async function tryAll(left: Point[], figures: Figures): Promise<void> {
  for (let point = left.shift(); point !== undefined; point = left.shift()) {
    const { problems, isReached } = await tryPoint(point);
    if (!isReached) figures.unreached++;
    else if (isFailure(point.fault)) figures.errors++;
    else figures.cuts++;
    if (left.length % 100 === 0) say(`${left.length} points left`);
    if (problems.length === 0) continue;
    figures.bad++;
    say(`BAD ${titleOf(point)}\n    ${problems.join("\n    ")}`);
  }
}

main().then(
  (status) => process.exit(status),
  (reason: unknown) => {
    console.error(messageOf(reason));
    process.exit(1);
  },
);
