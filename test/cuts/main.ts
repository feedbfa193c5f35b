/**
 * `npm run cuts -- [--all | --seed <number> --count <number> --libvirt <number>] [--only <part of a point's title>] [--workers <number>] [--json]`:
 * see docs/testing.md.
 */

import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { messageOf } from "../../provider/core/errors.js";
import { installMissing } from "../sandbox/install.js";
import { type LibvirtPoint, libvirtPointsOf, libvirtTitleOf, spreadOfLibvirt } from "./libvirt-points.js";
import { LibvirtSubject } from "./libvirt-trial.js";
import { isFailure, type Point, pointsOf, scenes, spread, titleOf } from "./points.js";
import { recordedCalls, tryPoint } from "./trial.js";

const options = {
  all: { type: "boolean" },
  seed: { type: "string", default: String(Date.now() % 1_000_000) },
  count: { type: "string", default: "300" },
  libvirt: { type: "string", default: "60" },
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

interface Wanted {
  all?: boolean | undefined;
  seed: string;
  count: string;
  libvirt: string;
  only?: string[] | undefined;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options });
  await installMissing({ install: "allow", say });
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  const began = performance.now();
  const [plain, libvirt]: [Figures, Figures] = [noFigures(), noFigures()];
  const points = await planned(values);
  say(`seed ${values.seed}: ${points.length} points, ${values.workers} workers`);
  const workers = Array.from({ length: Number(values.workers) }, () => tryAll(points, plain));
  await Promise.all([...workers, cutLibvirt(values, libvirt)]);
  const figures = sumOf(plain, libvirt);
  const seconds = Math.round((performance.now() - began) / 1000);
  if (values.json) say(JSON.stringify({ commit, ...figures, libvirt, seconds }));
  else say(`${figures.cuts} cuts, ${figures.errors} errors, ${figures.bad} bad, ${seconds} s; of libvirt's: ${JSON.stringify(libvirt)}`);
  return figures.bad > 0 || figures.cuts + figures.errors === 0 ? 1 : 0;
}

function noFigures(): Figures {
  return { cuts: 0, errors: 0, bad: 0, unreached: 0 };
}

function sumOf(one: Figures, other: Figures): Figures {
  const sum = (name: keyof Figures) => one[name] + other[name];
  return { cuts: sum("cuts"), errors: sum("errors"), bad: sum("bad"), unreached: sum("unreached") };
}

function note(figures: Figures, fault: string, { problems, isReached }: { problems: readonly string[]; isReached: boolean }): void {
  if (!isReached) figures.unreached++;
  else if (isFailure(fault)) figures.errors++;
  else figures.cuts++;
  if (problems.length > 0) figures.bad++;
}

async function planned({ all, seed, count, only = [] }: Wanted): Promise<Point[]> {
  if (!all && count === "0") return [];
  const points: Point[] = [];
  for (const scene of scenes) points.push(...pointsOf(scene, await recordedCalls(scene)));
  const wanted = points.filter((point) => only.every((part) => titleOf(point).includes(part)));
  return spread(wanted, Number(seed), all ? wanted.length : Number(count));
}

async function tryAll(left: Point[], figures: Figures): Promise<void> {
  for (let point = left.shift(); point !== undefined; point = left.shift()) {
    const tried = await tryPoint(point);
    note(figures, point.fault, tried);
    if (left.length % 100 === 0) say(`${left.length} points left`);
    if (tried.problems.length > 0) say(`BAD ${titleOf(point)}\n    ${tried.problems.join("\n    ")}`);
  }
}

/** One guest after the other: clients of one process share what closes with a guest. */
async function cutLibvirt({ all, seed, libvirt, only = [] }: Wanted, figures: Figures): Promise<void> {
  if (!all && libvirt === "0") return;
  let left: LibvirtPoint[] | undefined;
  do {
    await using subject = await LibvirtSubject.open();
    if (left === undefined) {
      const points = libvirtPointsOf(await subject.recordedCalls()).filter((point) =>
        only.every((part) => libvirtTitleOf(point).includes(part)),
      );
      left = spreadOfLibvirt(points, Number(seed), all ? points.length : Number(libvirt));
      say(`${left.length} points of ${points.length} of libvirt's`);
    }
    await tryAllOfLibvirt(subject, left, figures);
  } while (left.length > 0);
}

/** Until one is wrong. */
async function tryAllOfLibvirt(subject: LibvirtSubject, left: LibvirtPoint[], figures: Figures): Promise<void> {
  for (let point = left.shift(); point !== undefined; point = left.shift()) {
    const tried = await subject.tryPoint(point);
    note(figures, point.fault, tried);
    if (left.length % 20 === 0) say(`${left.length} points of libvirt's left`);
    if (tried.problems.length === 0) continue;
    say(`BAD ${libvirtTitleOf(point)}\n    ${tried.problems.join("\n    ")}`);
    return;
  }
}

main().then(
  (status) => process.exit(status),
  (reason: unknown) => {
    console.error(messageOf(reason));
    process.exit(1);
  },
);
