/**
 * The switch: the one step that changes which image a boot must find, for all disks of the move together (decisions/0003).
 *
 * Only in `pending` have both sides been drained, flushed and made identical on disk. Before `current` is written the source
 * is right, after it the destination; in between, both.
 */

import type { Job } from "../../core/disk/job.js";
import { type DiskKey, standInNames } from "../../core/disk/names.js";
import { baseName } from "../../core/disk/paths.js";
import { BugError } from "../../core/errors.js";
import { createExclusively, takeOver, writeFileAtomically } from "../../host/files.js";
import type { Conversation } from "../../host/host.js";
import { makeSymlink } from "../../host/links.js";
import { socatWord } from "../../host/quoting.js";
import { guardScript, guardSilenceSeconds } from "../../hypervisor/qemu/guard-script.js";
import { complaint } from "./complaint.js";
import type { Outcome } from "./outcome.js";
import type { Site } from "./site.js";

/** One disk's part in a switch: whatever job it is that ends, a mirror's pivot or a commit's. */
export interface Turn {
  disk: string;
  key: DiskKey;
  /** The job that is ready. */
  jobId: string;
  /**
   * The manifests of the disk: what each says now, and what it shall say. The latter ends open, right before `"sizeBytes"` of the
   * identity in its last property: the guard fills in what `target` is in `pending`.
   */
  records: readonly [RecordTurn, RecordTurn];
  /** Where the disk is before and after, for messages and for the identity. */
  source: string;
  target: string;
  /** The image that a boot by its old name would find stale, and the name that it gets. */
  stale?: Stale;
}

export interface Stale {
  active: string;
  quarantine: string;
  /**
   * A raw image that job-finalize leaves without a writer is opened again by its old name, read-only, unless its node forbids that
   * (raw_reconfigure_getfd() in block/file-posix.c, `auto-read-only`, which -drive turns on; QEMU 7.2), and without a file of that name
   * the pivot fails. So an empty file takes its place until the move is tidied: a boot finds no disk in it, rather than a stale one.
   */
  standIn: "needed" | "none";
}

export interface RecordTurn {
  path: string;
  now: string;
  next: string;
}

/** A link to a directory that is re-pointed with the switch. */
export interface LinkTurn {
  path: string;
  /** Beside the link: it as it shall be, and as it was. */
  next: { path: string; leadsTo: string };
  back: { path: string; leadsTo: string };
}

/** `job-complete` to `pending` may take this long; guest I/O waits at the end of it. */
const pendingDeadlineSeconds = 5;

export async function switchDisks(site: Site, turns: readonly Turn[], link: LinkTurn | undefined, outcome: Outcome): Promise<void> {
  const guard = await arm(site, turns, link);
  // the monitor must stay ours while the guard writes: nobody else may take it before job-finalize
  await site.guest.keepOpen(() => underGuard(site, turns, outcome, guard));
}

async function underGuard(site: Site, turns: readonly Turn[], outcome: Outcome, guard: Conversation): Promise<void> {
  try {
    // only a guard that has begun lets the guest go on if we cannot: before that no job may come to its end
    guard.send("begin");
    const begun = await guard.next(guardSilenceSeconds);
    if (begun !== "begun") throw new BugError(`The switch's guard answers "${begun}" to its begin.`);
    const began = performance.now();
    await becomePending(site, turns, guard);
    guard.send("record");
    const answer = await guard.next(guardSilenceSeconds);
    if (answer !== "recorded") throw await calledOff(site, turns, guard, `the switch could not be written down (${answer})`);
    await finalize(site, turns);
    for (const { disk } of turns) outcome.paused(disk, performance.now() - began);
    guard.send("end");
    await guard.end();
  } catch (cause) {
    guard.abandon(); // its input ends: it finalizes or cancels, whichever `current` says
    throw cause;
  }
}

/** Everything slow comes before guest I/O waits: the shell, and what the manifests and the link shall say. */
async function arm(site: Site, turns: readonly Turn[], link: LinkTurn | undefined): Promise<Conversation> {
  for (const { path, leadsTo } of link ? [link.next, link.back] : []) await makeSymlink(site.host, leadsTo, path);
  for (const { stale } of turns) if (stale?.standIn === "needed") await makeStandIn(site, stale);
  for (const { path, now, next } of turns.flatMap(({ records }) => records)) {
    await writeFileAtomically(site.host, `${path}.back`, now);
    await writeFileAtomically(site.host, `${path}.next`, next);
  }
  const links = link ? [link.path, link.next.path, link.back.path] : ["", "", ""];
  const perDisk = turns.flatMap(({ jobId, records: [one, other], stale, target }) => [
    ...[jobId, one.path, other.path],
    ...[stale?.active ?? "", stale?.quarantine ?? "", target],
  ]);
  const socket = site.guest.guardSocket;
  const guard = await site.host.open(guardScript, [socket, socatWord(baseName(socket)), ...links, ...perDisk]);
  const tool = (await guard.next(30)).split(" ")[1];
  if (tool === "none") {
    site.run.say(
      "warning",
      `${site.host.name} has neither socat nor nc: if this run is cut in the switch, the guest's I/O waits for the next run. Install socat.`,
    );
  }
  return guard;
}

/** For QEMU to open, so with the image's own owner and mode. */
async function makeStandIn({ host }: Site, { active, quarantine }: Stale): Promise<void> {
  const { empty, link } = standInNames(quarantine);
  await createExclusively(host, empty, "");
  await takeOver(host, active, empty);
  await makeSymlink(host, baseName(empty), link);
}

/** All `pending`, or all cancelled and nothing has happened. */
async function becomePending(site: Site, turns: readonly Turn[], guard: Conversation): Promise<void> {
  const ids = turns.map(({ jobId }) => jobId);
  await Promise.all(ids.map((id) => site.guest.complete(id)));
  const deadline = performance.now() + 1000 * pendingDeadlineSeconds;
  for (let told = performance.now(); ; ) {
    // first, since a look at once would only be one more way to the host and back while guest I/O waits
    await site.guest.wakeUp(0.02);
    const jobs = (await site.guest.jobs()).filter(({ id }) => ids.includes(id));
    if (jobs.length === ids.length && jobs.every(({ status }) => status === "pending")) return;
    const ended = ids.find((id) => !jobs.some((job) => job.id === id && job.status !== "concluded"));
    if (ended !== undefined || performance.now() > deadline) throw await calledOff(site, turns, guard, notPending(jobs, ended));
    if (performance.now() - told < 1000) continue;
    guard.send("still");
    told = performance.now();
  }
}

function notPending(jobs: readonly Job[], ended: string | undefined): string {
  const states = jobs.map(({ id, status, error }) => `${id} is ${status}${error ? ` (${error})` : ""}`).join(", ");
  return ended === undefined
    ? `not all jobs came to an end within ${pendingDeadlineSeconds} s: ${states}`
    : `the job ${ended} ended by itself: ${states || "it is gone"}`;
}

/** Nothing was let go: every job is cancelled, and the guest goes on where it was. */
async function calledOff(site: Site, turns: readonly Turn[], guard: Conversation, why: string): Promise<Error> {
  await Promise.all(turns.map(({ jobId }) => site.guest.cancel(jobId)));
  guard.send("end");
  await guard.end();
  const left = `The guest goes on writing to ${turns.map(({ source }) => source).join(", ")}, which is current.`;
  return complaint(site, { verb: "switch", disk: turns.map(({ disk }) => disk).join(", "), why, left, advice: "Run `pulumi up` again." });
}

/** Ends a switch that is written down for all its disks: guest I/O goes on at the new place. */
export async function finalize(site: Site, turns: readonly Pick<Turn, "jobId">[]): Promise<void> {
  await Promise.all(turns.map(({ jobId }) => site.guest.finalize(jobId)));
}
