/**
 * The switch: the one step that changes which image a boot must find, for all disks of the move together (decisions/0003).
 *
 * Where jobs wait in `pending`, both sides have been drained, flushed and made identical on disk only there. Until the rename that decides the
 * source is right, after it the destination; in `pending`, both. The manifests say what decides, until a later step has ended the switch
 * (end-switch.ts in each flow).
 */

import { backOf, markOf, nextOf, standInNames } from "../../core/disk/names.js";
import { baseName } from "../../core/disk/paths.js";
import { OutcomeUnknownError } from "../../core/errors.js";
import { makeAnew, writeFileAtomically } from "../../host/files.js";
import { makeSymlink } from "../../host/links.js";
import { isFailure, isWorkerError } from "../../host/worker/worker-error.js";
import type { CutDisk, Deciding, DiskSwitch, LinkSwitch, Stale, SwitchOutcome, SwitchWords } from "../../hypervisor/hypervisor.js";
import { Unable } from "../../hypervisor/unable.js";
import { prepareSwitchRecord } from "../../journal/switch-record.js";
import { HalfSwitched } from "../../reconciler/half-switched.js";
import { adviceOf, type Complaint, complaint, wordsOf } from "./complaint.js";
import type { Outcome } from "./outcome.js";
import type { Site } from "./site.js";

/** With the user's name of the disk. */
export type Named<D extends CutDisk> = D & { disk: string };

/** With where the disk is afterwards, for messages. */
export type Told = Named<CutDisk> & { target: { path: string } };

/** @param deciding absent: where the guest runs decides */
export async function switchDisks(
  { site, seen, outcome }: { site: Site; seen: { view: { domainId: string } }; outcome: Outcome },
  disks: readonly Named<DiskSwitch>[],
  deciding?: Deciding,
): Promise<void> {
  const { guest, host, run, options } = site;
  await prepare(site, disks, deciding);
  const { domainId } = seen.view;
  const request = { domainId, disks, pendingSeconds: options.switchSeconds, ...(deciding && { deciding }) };
  const words: SwitchWords = {
    planned: (plan) => run.say("debug", `${guest.name} on ${host.name}: the switch will ${plan}.`),
    silent: (silence) => run.progress(`${namesOf(disks)} ${silenceWords(silence)}`),
  };
  const result = await guest.switch(request, words).catch((thrown: unknown) => Promise.reject(notBegun(site, disks, thrown)));
  const { end, why, pauseSeconds } = result;
  for (const { disk } of disks) if (pauseSeconds !== undefined) outcome.paused(disk, pauseSeconds * 1000);
  if (end === "strayed") for (const { job } of disks) await guest.cancel(job.id);
  if (end !== "switched") throw notSwitched(site, disks, result);
  if (why !== null) run.say("warning", `${guest.name} on ${host.name}: the switch is done, but ${why}.`);
}

/** Everything slow comes before guest I/O waits: what the manifests and the link shall say, and the switch record. */
async function prepare(site: Site, disks: readonly DiskSwitch[], deciding: Deciding | undefined): Promise<void> {
  const { host } = site;
  const manifests = disks.flatMap((disk) => disk.manifests);
  const paths = manifests.map(({ path }) => path);
  if (deciding?.decidedBy === "link") await makeLinks(site, deciding);
  else if (deciding) await prepareSwitchRecord(host, deciding.path, paths);
  for (const { stale } of disks) if (stale?.standIn === "needed") await makeStandIn(site, stale);
  for (const { path, now, next, mark } of manifests) {
    await writeFileAtomically(host, backOf(path), now);
    await writeFileAtomically(host, nextOf(path), next[0]);
    if (mark !== undefined) await writeFileAtomically(host, markOf(path), mark);
  }
}

async function makeLinks({ host }: Site, { next, back }: LinkSwitch): Promise<void> {
  for (const { path, leadsTo } of [next, back]) await makeSymlink(host, leadsTo, path);
}

/** For QEMU to open, so with the image's own owner and mode. */
export async function makeStandIn({ host }: Site, { active, quarantine }: Stale): Promise<void> {
  const { empty, link } = standInNames(quarantine);
  await makeAnew(host, empty, { content: "", like: active });
  await makeSymlink(host, baseName(empty), link);
}

function namesOf(disks: readonly { disk: string }[]): string {
  return disks.map(({ disk }) => disk).join(", ");
}

/** The seconds make each word another one: so the run is not taken for one that stands still. */
function silenceWords({ silentSeconds, isSuspended }: { silentSeconds: number; isSuspended: boolean }): string {
  const guest = isSuspended ? "the guest is suspended until it does" : "the guest is not suspended";
  return `switching: libvirt has not answered for ${silentSeconds} s; ${guest}`;
}

const again = "Run `pulumi up` again.";

/** What is refused before anything is changed, as a sentence. */
function notBegun(site: Site, disks: readonly Told[], cause: unknown): unknown {
  if (isFailure(cause, "timed-out")) return notTold(site, disks, cause);
  if (!(cause instanceof Unable) && (!isWorkerError(cause) || cause.failure === "bug")) return cause;
  const left = `Nothing was switched: the guest goes on writing to ${disks.map(({ source }) => source).join(", ")}.`;
  const [why, advice] = [wordsOf(cause), adviceOf(cause) ?? again];
  return complaint(site, { verb: "switch", disk: namesOf(disks), why, left, advice, cause });
}

/** Of a switch that is not over, nobody knows yet how it ends. */
export function notTold(site: Site, disks: readonly Told[], cause: unknown): unknown {
  if (!isFailure(cause, "timed-out")) return cause;
  const left = "The host goes on with it by itself, and the next run waits for that.";
  const why = "the host has not told its end in time";
  return new OutcomeUnknownError(complaint(site, { verb: "switch", disk: namesOf(disks), why, left, advice: again }).message, { cause });
}

/** A switch that did not come to its end, and where each disk is now. */
export function notSwitched(site: Site, disks: readonly Told[], { end, why, stayed }: SwitchOutcome): Error {
  const refuse = (of: readonly Told[], said: Pick<Complaint, "why" | "left" | "tellsCurrent"> & { advice?: string }) =>
    complaint(site, { verb: "switch", disk: namesOf(of), advice: again, ...said });
  const behind = disks.filter(({ qdev }) => stayed.includes(qdev));
  const concerned = behind.length > 0 ? behind : disks;
  const reason = why ?? "it did not come to its end";
  const sources = disks.map(({ source }) => source).join(", ");
  const right = disks.map((disk) => (behind.includes(disk) ? disk.source : disk.target.path)).join(", ");
  switch (end) {
    case "stayed":
      return refuse(concerned, { why: reason, left: `The guest goes on writing to ${sources}, which is current.`, tellsCurrent: true });
    case "names-left":
      return refuse(concerned, {
        why: reason,
        left: `The guest goes on writing to ${sources}, but not all names and manifests could be set back.`,
      });
    case "strayed":
      return refuse(concerned, { why: reason, left: "Nothing was switched, and the job was called off." });
    case "ended":
      if (why === null) return refuse(disks, { why: "its QEMU ended in the middle", left: `A boot finds ${right}.` });
      return refuse(disks, { why: `its QEMU ended in the middle (${why})`, left: `A boot must use ${right}.` });
    case "lost": {
      const advice = "Look at libvirtd's log, and end that process before the guest is started again. Then run `pulumi up` again.";
      return refuse(disks, { why: reason, left: `No write is lost: a boot must use ${right}.`, advice });
    }
    case "apart": {
      const left = `The guest goes on writing to ${behind.map(({ source }) => source).join(", ")}, which is current: a boot must use that.`;
      const { message } = refuse(behind, { why: `its QEMU did not go over (${reason})`, left });
      return new HalfSwitched(message, { tellsCurrent: true });
    }
    default:
      return refuse(concerned, { why: reason, left: "What has moved has moved, and no write is lost." });
  }
}

/** Ends a switch that is written down for all its disks: guest I/O goes on at the new place. */
export async function finalize(site: Site, jobs: readonly { jobId: string }[]): Promise<void> {
  await Promise.all(jobs.map(({ jobId }) => site.guest.finalize(jobId)));
}
