/**
 * The switch: the one step that changes which image a boot must find, for all disks of the move together (design 3.4).
 *
 * Only in `pending` have both sides been drained, flushed and made identical on disk. Before `current` is written the source
 * is right, after it the destination; in between, both.
 */

import type { Job } from "../disk/job.js";
import { fileNames, jobNames } from "../disk/names.js";
import { BugError } from "../errors.js";
import { writeFileAtomically } from "../host/files.js";
import type { Conversation } from "../host/host.js";
import { makeSymlink } from "../host/links.js";
import { complaint } from "./complaint.js";
import { guardScript, guardSilenceSeconds } from "./guard-script.js";
import { type Manifest, manifestText } from "./manifest.js";
import type { Outcome } from "./outcome.js";
import { manifestPaths } from "./records.js";
import type { SeenDisk, Site } from "./site.js";

interface Switching extends SeenDisk {
  manifest: Manifest;
}

/** `job-complete` to `pending` may take this long; guest I/O waits at the end of it. */
const pendingDeadlineSeconds = 5;

export async function switchDisks(site: Site, disks: readonly Switching[], outcome: Outcome): Promise<void> {
  const guard = await arm(site, disks);
  // the monitor must stay ours while the guard writes: nobody else may take it before job-finalize
  await site.guest.keepOpen(() => underGuard(site, disks, outcome, guard));
}

async function underGuard(site: Site, disks: readonly Switching[], outcome: Outcome, guard: Conversation): Promise<void> {
  try {
    guard.send("begin");
    const began = performance.now();
    await becomePending(site, disks, guard);
    guard.send("record");
    const answer = await guard.next(guardSilenceSeconds);
    if (answer !== "recorded") throw await calledOff(site, disks, guard, `the switch could not be written down (${answer})`);
    await letGo(site, disks);
    for (const { disk } of disks) outcome.paused(disk, performance.now() - began);
    guard.send("end");
    await guard.end();
  } catch (cause) {
    guard.abandon(); // its input ends: it finalizes or cancels, whichever `current` says
    throw cause;
  }
}

/** Everything slow comes before guest I/O waits: the shell, and what the manifests and the link shall say. */
async function arm(site: Site, disks: readonly Switching[]): Promise<Conversation> {
  const link = disks[0]?.manifest.link;
  const key = disks[0]?.key ?? "";
  const links = link ? [link.path, fileNames.linkNext(link.path, key), fileNames.linkBack(link.path, key)] : ["", "", ""];
  if (link) {
    await makeSymlink(site.host, disks[0]?.manifest.destination.directory ?? "", links[1] ?? "");
    await makeSymlink(site.host, link.before, links[2] ?? "");
  }
  for (const disk of disks) await prepareRecords(site, disk);
  const perDisk = disks.flatMap(({ key, manifest }) => {
    const paths = manifestPaths(manifest, key);
    return [
      jobNames.mirror(key),
      paths.source,
      paths.destination,
      manifest.source.active,
      manifest.quarantine,
      manifest.destination.active,
    ];
  });
  const guard = await site.host.open(guardScript, [site.guest.guardSocket, ...links, ...perDisk]);
  const tool = (await guard.next(30)).split(" ")[1];
  if (tool === "none") {
    site.run.say(
      "warning",
      `${site.host.name} has neither socat nor nc: if this run is cut in the switch, the guest's I/O waits for the next run. Install socat.`,
    );
  }
  return guard;
}

/** What the two manifests shall say, and what they say now; the target's size and time are filled in by the guard, in `pending`. */
async function prepareRecords(site: Site, { key, manifest }: Switching): Promise<void> {
  const file = manifest.destination.file;
  if (!file) throw new BugError(`The target ${manifest.destination.active} is ready, but what it is was never written down.`);
  const next: Manifest = { ...manifest, current: manifest.destination.active, switched: { ...file, sizeBytes: 0, modified: "" } };
  const text = manifestText(next);
  const begin = text.slice(0, text.lastIndexOf('"sizeBytes"'));
  for (const path of Object.values(manifestPaths(manifest, key))) {
    await writeFileAtomically(site.host, `${path}.back`, manifestText(manifest));
    await writeFileAtomically(site.host, `${path}.next`, begin);
  }
}

/** All `pending`, or all cancelled and nothing has happened. */
async function becomePending(site: Site, disks: readonly Switching[], guard: Conversation): Promise<void> {
  const ids = disks.map(({ key }) => jobNames.mirror(key));
  await Promise.all(ids.map((id) => site.guest.complete(id)));
  const deadline = performance.now() + 1000 * pendingDeadlineSeconds;
  for (let told = performance.now(); ; ) {
    const jobs = (await site.guest.jobs()).filter(({ id }) => ids.includes(id));
    if (jobs.length === ids.length && jobs.every(({ status }) => status === "pending")) return;
    const ended = ids.find((id) => !jobs.some((job) => job.id === id && job.status !== "concluded"));
    if (ended !== undefined || performance.now() > deadline) throw await calledOff(site, disks, guard, notPending(jobs, ended));
    await site.guest.wakeUp(0.02);
    if (performance.now() - told < 1000) continue;
    guard.send("still");
    told = performance.now();
  }
}

function notPending(jobs: readonly Job[], ended: string | undefined): string {
  const states = jobs.map(({ id, status, error }) => `${id} is ${status}${error ? ` (${error})` : ""}`).join(", ");
  return ended === undefined
    ? `not all mirrors came to an end within ${pendingDeadlineSeconds} s: ${states}`
    : `the mirror ${ended} ended by itself: ${states || "it is gone"}`;
}

/** Nothing was let go: every mirror is cancelled, and the guest goes on at the source. */
async function calledOff(site: Site, disks: readonly Switching[], guard: Conversation, why: string): Promise<Error> {
  await Promise.all(disks.map(({ key }) => site.guest.cancel(jobNames.mirror(key))));
  guard.send("end");
  const left = `The guest goes on writing to ${disks.map(({ manifest }) => manifest.source.active).join(", ")}, which is current.`;
  return complaint(site, { verb: "switch", disk: disks.map(({ disk }) => disk).join(", "), why, left, advice: "Run `pulumi up` again." });
}

/** Finishes a switch that is recorded for all disks: guest I/O goes on at the destination. */
export async function letGo(site: Site, disks: readonly SeenDisk[]): Promise<void> {
  await Promise.all(disks.map(({ key }) => site.guest.finalize(jobNames.mirror(key))));
}
