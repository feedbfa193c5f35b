/** Tries many points: a few guests at a time, each moved to and fro until a point fails on it. */

import { copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { messageOf } from "../../provider/core/errors.js";
import { cacheFolder } from "../sandbox/kernel.js";
import { Arena } from "./arena.js";
import { type Evidence, noEvidence } from "./evidence.js";
import { assertForeignUntouched, assertWhole } from "./expectations.js";
import { earlier, oneFewer, type Point, titleOf } from "./points.js";
import type { Strategy } from "./strategies.js";
import { NeverThere, tryPoint } from "./trial.js";

export interface Failure extends Point {
  why: string;
  /** The folder with what was shown, every command, and the guest's logs. */
  evidence: string;
}

/** What a point has come to. */
export type Found = Omit<Evidence, "outputs"> & { failure: Failure | undefined };

export interface RunOptions {
  said(line: string): void;
  /** Called after each point. */
  done(point: Point, found: Found): void;
}

/** Tries all points, with so many guests at a time, of different strategies as long as there are. */
export async function runPoints(points: readonly Point[], workers: number, options: RunOptions): Promise<void> {
  const left = [...points];
  const busy: Strategy[] = [];
  const worker = async () => {
    for (let strategy = nextStrategy(left, busy); strategy !== undefined; strategy = nextStrategy(left, busy)) {
      busy.push(strategy);
      await onNewGuest(strategy, left, options);
      busy.splice(busy.indexOf(strategy), 1);
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
}

function nextStrategy(left: readonly Point[], busy: readonly Strategy[]): Strategy | undefined {
  return (left.find(({ strategy }) => !busy.includes(strategy)) ?? left[0])?.strategy;
}

/** A guest that does not come up on a busy machine has nothing to do with a fault: another one is booted, twice at most. */
async function onNewGuest(strategy: Strategy, left: Point[], options: RunOptions, again = 2): Promise<void> {
  try {
    await using arena = await Arena.open(strategy);
    await runOn(arena, left, options);
  } catch (reason) {
    if (again === 0) throw reason;
    options.said(`once more: ${messageOf(reason)}`);
    await onNewGuest(strategy, left, options, again - 1);
  }
}

/** Takes the points of its strategy out of `left` and tries them, until there is none any more, or one has failed. */
export async function runOn(arena: Arena, left: Point[], { done, said }: RunOptions): Promise<void> {
  for (let point = take(left, arena.strategy); point !== undefined; point = take(left, arena.strategy)) {
    const began = performance.now();
    const found = await attempt(arena, point);
    const { failure, thirdEvent } = found;
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    done(point, found);
    const missing = point.third && thirdEvent !== "came" ? ` (the third event ${thirdEvent})` : "";
    said(`${failure === undefined ? "ok  " : "FAIL"} ${seconds} s  ${titleOf(point)}${missing}`);
    if (failure === undefined) continue;
    said(`     ${failure.why.replaceAll("\n", "\n     ")}\n     see ${failure.evidence}`);
    return;
  }
}

function take(left: Point[], strategy: Strategy): Point | undefined {
  const index = left.findIndex((point) => point.strategy === strategy);
  return index < 0 ? undefined : left.splice(index, 1)[0];
}

/** A command that did not come is waited for once more, on a guest that is like new; then the one before it. A second break comes earlier. */
async function attempt(arena: Arena, point: Point): Promise<Found> {
  const evidence = noEvidence();
  try {
    await tryOrEarlier(arena, point, evidence);
    return { ...evidence, failure: undefined };
  } catch (reason) {
    await lookAtLosses(arena, evidence);
    return { ...evidence, failure: { ...point, why: messageOf(reason).slice(0, 2000), evidence: await keep(arena, evidence, reason) } };
  }
}

/** Whatever has failed: whether anything was lost is another question. */
async function lookAtLosses(arena: Arena, evidence: Evidence): Promise<void> {
  for (const [what, look] of Object.entries({ records: assertWhole, "files of others": assertForeignUntouched })) {
    const text = await look(arena, evidence).then(() => "all are there", messageOf);
    evidence.outputs.push({ title: `${what} after the failure`, text });
  }
}

async function tryOrEarlier(arena: Arena, point: Point, evidence: Evidence, again = 1): Promise<void> {
  try {
    await tryPoint(arena, point, evidence);
  } catch (reason) {
    if (!(reason instanceof NeverThere)) throw reason;
    const sooner = earlier(point);
    const next = sooner ?? (again > 0 ? point : oneFewer(point));
    if (!next) throw reason;
    await arena.renew();
    await tryOrEarlier(arena, next, evidence, sooner ? again : 0);
  }
}

async function keep(arena: Arena, { outputs }: Evidence, reason: unknown): Promise<string> {
  const { stage, trap } = arena;
  const folder = path.join(cacheFolder, "faults", path.basename(stage.sandbox.folder));
  await mkdir(folder, { recursive: true });
  const shown = outputs.map(({ title, text }) => `== ${title}\n${text}\n`).join("\n");
  await writeFile(path.join(folder, "outputs.txt"), `${reason instanceof Error ? reason.stack : reason}\n\n${shown}`);
  await writeFile(path.join(folder, "commands.txt"), trap.passed.map(({ road, kind, name }) => `${road} ${kind} ${name}\n`).join(""));
  await writeFile(path.join(folder, "state.json"), JSON.stringify(await arena.describe(), undefined, 2));
  await copyFile(stage.sandbox.sshd.logFile, path.join(folder, "sshd.log"));
  for (const name of ["qemu.log", "serial.log"]) await copyFile(path.join(stage.sandbox.folder, "web", name), path.join(folder, name));
  for (const storage of ["path1", "path2"]) {
    for (const name of (await readdir(stage.at(storage))).filter((one) => one.includes(".json"))) {
      await copyFile(stage.at(storage, name), path.join(folder, `${storage}-${name}`));
    }
  }
  return folder;
}
