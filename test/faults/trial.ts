/** One point: a move is broken there once, then run again or destroyed, and all that must hold is looked at. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { look } from "../e2e/reality.js";
import type { OperationResult } from "../engine/engine.js";
import { chainOf, checkImage } from "../sandbox/check.js";
import type { Arena, Storage } from "./arena.js";
import { type Evidence, noEvidence } from "./evidence.js";
import { assertError, assertForeignUntouched, assertSettled, assertUndone, assertWhole } from "./expectations.js";
import type { Point, SecondBreak } from "./points.js";
import { fateOf, strike } from "./strikes.js";
import { type ThirdAct, thirdActOf } from "./third-acts.js";
import type { Bait } from "./trap.js";

/** The guest's I/O goes on within 15 s, whatever was cut; the rest is for a busy machine. */
const writesWithinSeconds = 30;

/** A move that never came to the point: nothing was broken, and nothing is told of it. */
export class NeverThere extends Error {}

/**
 * @throws NeverThere if the command did not come
 * @throws AssertionError or another error if something is not as it must be; the arena is of no more use then
 */
export async function tryPoint(arena: Arena, point: Point, evidence: Evidence): Promise<void> {
  Object.assign(evidence, noEvidence());
  await arena.prepare();
  const { place: source, other: destination } = arena;
  const before = await look(arena.stage);
  await breakUp(arena, point, evidence);
  const act: ThirdAct = point.second ? await breakAgain(arena, { ...point, second: point.second }, evidence) : {};
  const stands = await placeOfGuest(arena);
  const after = await arena.run(point.ending, point.ending === "up" || stands === destination ? destination : source);
  evidence.outputs.push({ title: `the ${point.ending} after it`, text: after.output });
  await act.afterEnd?.();
  assert.ok(after.ok, `the ${point.ending} after it failed`);
  arena.known = point.ending === "up" ? "yes" : "no";
  await arena.stage.guest.waitForRecords(2, writesWithinSeconds);
  const ends = point.ending === "up" ? destination : stands;
  if (ends === source) await assertUndone(arena, before, point);
  else await assertSettled(arena, { before, source, destination });
  await assertWhole(arena, evidence);
  await assertForeignUntouched(arena, evidence);
  await arena.settle(ends);
}

interface Break extends Pick<Point, "occurrence" | "fault" | "moment"> {
  command?: string;
  besides?: { act: ThirdAct; nth: number };
}

/** With what happens besides. */
async function breakAgain(arena: Arena, { second, third }: Point & { second: SecondBreak }, evidence: Evidence): Promise<ThirdAct> {
  const act = thirdActOf(arena, third, evidence);
  await act.between?.();
  const nth = Math.min(third?.nth ?? 1, second.nth);
  await breakUp(arena, { ...second, occurrence: second.nth, besides: { act, nth } }, evidence);
  await act.afterBreaks?.();
  return act;
}

/** An `up` is broken; afterwards the guest writes, and who can has said what is to be done. */
async function breakUp(arena: Arena, at: Break, evidence: Evidence): Promise<void> {
  const broken = await brokenUp(arena, at, evidence);
  if (at.fault !== "qemu-killed") await arena.stage.guest.waitForRecords(2, writesWithinSeconds);
  else if (!(await at.besides?.act.isUp?.())) await bootFromCurrent(arena, evidence);
  if (!broken.ok && at.fault !== "provider-killed") await assertError(arena, broken);
}

async function brokenUp(arena: Arena, at: Break, evidence: Evidence): Promise<OperationResult> {
  const { trap } = arena;
  const { act, nth = 1 } = at.besides ?? {};
  const { during } = act ?? {};
  const strikes: Pick<Bait, "strike" | "fate"> = {
    strike: async () => {
      await strike(at.fault, arena);
      if (at.fault === "qemu-killed") act?.qemuEnded?.();
    },
    fate: (command) => fateOf(at.fault, command),
  };
  trap.set({ ...at, ...strikes }, during && { nth, act: () => during.call(act) });
  const broken = await arena.run("up", arena.other);
  evidence.outputs.push({ title: "an up that was broken", text: broken.output });
  trap.endAside();
  await act?.afterRun?.();
  if (trap.state === "sprung") return broken;
  trap.clear();
  assert.ok(broken.ok || act?.isInTheWay, "the up failed before it was broken");
  if (!broken.ok) await mustEnd(arena);
  await arena.settle(arena.other);
  arena.known = "yes";
  throw new NeverThere(`The move is over, and there was no ${at.command ?? "command"} #${at.occurrence}.`);
}

async function mustEnd(arena: Arena): Promise<void> {
  const { ok, output } = await arena.run("up", arena.other);
  assert.ok(ok, `the up after another run failed: ${output}`);
}

/** As its administrator would, without Pulumi: from every place that is right, all must be there. */
async function bootFromCurrent(arena: Arena, evidence: Evidence): Promise<void> {
  const { place: source, other: destination } = arena;
  const { guest, link } = arena.stage;
  await guest.kill(); // it is dead: only its end is waited for
  const manifests = await arena.manifests();
  const images = [...new Set(manifests.map(({ current }) => current))];
  if (images.length === 0) images.push(await withoutManifest(arena, source, destination));
  const byLink = arena.strategy === "mirror" && link !== undefined ? path.join(link, "old.qcow2") : undefined;
  evidence.outputs.push({ title: "where a boot is right", text: [byLink, ...images].join("\n") });
  for (const image of byLink === undefined ? images : [byLink]) {
    const { lost, corrupt } = await checkImage(image, guest.disk());
    evidence.lost = lost.length;
    assert.deepEqual({ image, lost, corrupt }, { image, lost: [], corrupt: [] });
  }
  await guest.boot(byLink === undefined ? arena.bootFrom(images[0] ?? "") : {});
}

/** The old path before the move, the new one after it: there the old name is gone. */
async function withoutManifest(arena: Arena, source: Storage, destination: Storage): Promise<string> {
  const old = arena.stage.at(source, "old.qcow2");
  if (existsSync(old)) return old;
  const overlay = arena.strategy === "none" ? await arena.topAt(destination) : undefined;
  return overlay ?? arena.stage.at(destination, "old.qcow2");
}

async function placeOfGuest(arena: Arena): Promise<Storage> {
  const { active } = await look(arena.stage);
  const [top] = await chainOf(active);
  return top?.path.startsWith(`${arena.stage.at("path1")}/`) ? "path1" : "path2";
}
