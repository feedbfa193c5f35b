/**
 * The switch: the one step that changes which image a boot must find, for all disks of the move together (decisions/0003).
 *
 * Only in `pending` have both sides been drained, flushed and made identical on disk. Until the rename
 * that decides (switch-plan.ts) the source is right, after it the destination; in `pending`, both. The manifests say what decides, until
 * a later step has ended the switch (end-switch.ts in each flow).
 */

import { backOf, nextOf, standInNames } from "../../core/disk/names.js";
import { baseName } from "../../core/disk/paths.js";
import { makeAnew, writeFileAtomically } from "../../host/files.js";
import { makeSymlink } from "../../host/links.js";
import type { SwitchResult } from "../../host/worker/switching.js";
import { WorkerError } from "../../host/worker/worker-error.js";
import { prepareSwitchRecord } from "../../journal/switch-record.js";
import { HalfSwitched } from "../../reconciler/half-switched.js";
import { complaint } from "./complaint.js";
import type { Outcome } from "./outcome.js";
import { identitiesOf } from "./planned-move.js";
import type { Site } from "./site.js";
import { namesIn, planWords, type Switched, switchPlan } from "./switch-plan.js";
import type { DecidingTurn, LinkTurn, Stale, Turn } from "./turn.js";

export async function switchDisks(site: Site, turns: readonly Turn[], deciding: DecidingTurn, outcome: Outcome): Promise<void> {
  const switched = { turns, deciding };
  await prepare(site, switched);
  const plan = switchPlan(switched, await identitiesOf(site.host, namesIn(switched)), site.options.switchSeconds);
  site.run.say("debug", `${site.guest.name} on ${site.host.name}: the switch will ${planWords(plan)}.`);
  const result = await site.guest.switch(plan).catch((thrown: unknown) => Promise.reject(notBegun(site, turns, thrown)));
  for (const { disk } of turns) if (result.pauseSeconds !== undefined) outcome.paused(disk, result.pauseSeconds * 1000);
  if (result.end !== "switched") throw notSwitched(site, turns, result);
  if (result.why !== null) site.run.say("warning", `${site.guest.name} on ${site.host.name}: the switch is done, but ${result.why}.`);
}

/** Everything slow comes before guest I/O waits: what the manifests and the link shall say, and the switch record. */
async function prepare(site: Site, { turns, deciding }: Switched): Promise<void> {
  const records = turns.flatMap((turn) => turn.records);
  if (deciding.decidedBy === "link") await makeLinks(site, deciding);
  else
    await prepareSwitchRecord(
      site.host,
      deciding.path,
      records.map(({ path }) => path),
    );
  for (const { stale } of turns) if (stale?.standIn === "needed") await makeStandIn(site, stale);
  for (const {
    path,
    now,
    next: [head],
  } of records) {
    await writeFileAtomically(site.host, backOf(path), now);
    await writeFileAtomically(site.host, nextOf(path), head);
  }
}

async function makeLinks({ host }: Site, { next, back }: LinkTurn): Promise<void> {
  for (const { path, leadsTo } of [next, back]) await makeSymlink(host, leadsTo, path);
}

/** For QEMU to open, so with the image's own owner and mode. */
export async function makeStandIn({ host }: Site, { active, quarantine }: Stale): Promise<void> {
  const { empty, link } = standInNames(quarantine);
  await makeAnew(host, empty, { content: "", like: active });
  await makeSymlink(host, baseName(empty), link);
}

/** What the worker refuses before it changes anything, as a sentence. */
function notBegun(site: Site, turns: readonly Turn[], thrown: unknown): unknown {
  if (!(thrown instanceof WorkerError) || thrown.failure === "bug") return thrown;
  const disk = turns.map((turn) => turn.disk).join(", ");
  const left = `Nothing was switched: the guest goes on writing to ${turns.map(({ source }) => source).join(", ")}.`;
  return complaint(site, { verb: "switch", disk, why: thrown.message, left, advice: "Run `pulumi up` again.", cause: thrown });
}

/** A switch that did not come to its end, and where each disk is now. */
export function notSwitched(site: Site, turns: readonly Turn[], { end, why, astray }: SwitchResult): Error {
  const refuse = (of: readonly Turn[], said: { why: string; left: string; tellsCurrent?: boolean }) =>
    complaint(site, { verb: "switch", disk: of.map(({ disk }) => disk).join(", "), ...said, advice: "Run `pulumi up` again." });
  const at = (of: readonly Turn[], side: "source" | "target") => of.map((turn) => turn[side]).join(", ");
  const reason = why ?? "it did not come to its end";
  switch (end) {
    case "cancelled":
      return refuse(turns, {
        why: reason,
        left: `The guest goes on writing to ${at(turns, "source")}, which is current.`,
        tellsCurrent: true,
      });
    case "cancelled-half-way":
      return refuse(turns, {
        why: reason,
        left: `The guest goes on writing to ${at(turns, "source")}, but not all names and manifests could be set back.`,
      });
    case "reverted-without-qemu":
    case "finished-without-qemu": {
      const right = at(turns, end === "reverted-without-qemu" ? "source" : "target");
      if (why === null) return refuse(turns, { why: "its QEMU ended in the middle", left: `A boot finds ${right}.` });
      const names = `its QEMU ended in the middle, and not all names could be given: ${why}`;
      return refuse(turns, { why: names, left: `A boot must use ${right}.` });
    }
    default: {
      const stayed = turns.filter(({ jobId }) => astray.includes(jobId));
      const left = `The guest goes on writing to ${at(stayed, "source")}, which is current: a boot must use that.`;
      const { message } = refuse(stayed, { why: `its QEMU did not go over (${reason})`, left });
      return new HalfSwitched(message, { tellsCurrent: true });
    }
  }
}

/** Ends a switch that is written down for all its disks: guest I/O goes on at the new place. */
export async function finalize(site: Site, turns: readonly Pick<Turn, "jobId">[]): Promise<void> {
  await Promise.all(turns.map(({ jobId }) => site.guest.finalize(jobId)));
}
