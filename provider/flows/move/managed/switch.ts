/** The switches of a guest that libvirt manages: prepared here, carried out by the host's worker (decisions/0003). */

import { KeyedMutex } from "../../../core/async/keyed-mutex.js";
import type { LayerFile } from "../../../core/disk/chain-options.js";
import { backOf, markOf, nextOf } from "../../../core/disk/names.js";
import { seeFiles } from "../../../host/file-seen.js";
import { writeFileAtomically } from "../../../host/files.js";
import type { LibvirtSilence, LibvirtSwitchResult } from "../../../host/worker/libvirt-switching.js";
import { isWorkerError } from "../../../host/worker/worker-error.js";
import type { ManagedGuest } from "../../../hypervisor/hypervisor.js";
import { frozenFormat, type Manifest, manifestText, pathOf, type Standing } from "../../../journal/manifest.js";
import { complaint } from "../../shared/complaint.js";
import { committedTo } from "../../shared/manifest-turns.js";
import type { Outcome } from "../../shared/outcome.js";
import { identitiesOf } from "../../shared/planned-move.js";
import type { RecordedDisk, Seen, Site } from "../../shared/site.js";
import { withDomainLock } from "./domain-lock.js";
import { type Found, imagesIn, type ManagedEnding, managedPlanWords, managedSwitchPlan, namesIn, recordsOf } from "./switch-plan.js";

/** Where a switch goes: a copy's pivot to the `target`, a commit's to the `landing`, or on the way back to the `former` image. */
export type SwitchEnd = Exclude<Standing, "overlay">;

export interface ManagedSwitch {
  site: Site;
  managed: ManagedGuest;
  seen: Seen;
  outcome: Outcome;
}

/**
 * Several disks pivot one after the other while the guest is suspended. libvirt cannot do it for all or none: if one refuses, the
 * others have moved, nothing is lost, and the next run goes on with that one.
 */
export function switchManaged(to: ManagedSwitch, disks: readonly RecordedDisk[], turn: SwitchEnd): Promise<void> {
  const endingOf = (disk: RecordedDisk): ManagedEnding => {
    const path = pathOf(disk.manifest, turn);
    const isPivot = turn === "target"; // a commit leaves no image behind that was active under its own name
    const next = { ...after(disk.manifest, turn), current: path };
    if (!isPivot) return commitEnding(disk, { path, format: formatOf(disk, turn) }, next);
    return { disk, image: { path, format: formatOf(disk, turn) }, job: "copy", next, quarantine: disk.manifest.quarantine };
  };
  return endManaged(to, disks.map(endingOf));
}

/**
 * A guest on the former image may also have been started there by hand, without what it wrote to the overlay. The images do not tell the two
 * apart, so a commit down to it is marked in the manifests before its pivot: a guest that is there then has got there by the commit.
 */
export function commitEnding(disk: RecordedDisk, image: LayerFile, next: Manifest): ManagedEnding {
  const isFolded = next.overlay?.committed === "source";
  return {
    disk,
    image,
    job: "active-commit",
    next,
    quarantine: "",
    ...(isFolded && { mark: { ...next, current: disk.manifest.current } }),
  };
}

/** By the guest. */
class Switches extends KeyedMutex {}

/** The pivots of jobs that are ready, whatever images they end on. One switch of a guest waits for another one's end. */
export function endManaged(to: ManagedSwitch, endings: readonly ManagedEnding[]): Promise<void> {
  const { site, seen } = to;
  return site.run.world.one(Switches).run(seen.view.domainId, async () => {
    await prepare(site, endings);
    await withDomainLock(site, seen.view.domainId, (lock) => endNow(to, endings, lock));
  });
}

async function endNow(
  { site, managed, seen, outcome }: ManagedSwitch,
  endings: readonly ManagedEnding[],
  lock: { path: string; number: number },
): Promise<void> {
  const plan = managedSwitchPlan(seen.view.domainId, endings, await found(site, endings));
  site.run.say("debug", `${site.guest.name} on ${site.host.name}: the switch will ${managedPlanWords(plan)}.`);
  const names = endings.map(({ disk }) => disk.disk).join(", ");
  const silent = (silence: LibvirtSilence) => site.run.progress(`${names} ${silenceWords(silence)}`);
  const result = await managed.switch(plan, lock, silent).catch((thrown: unknown) => Promise.reject(notTold(site, endings, thrown)));
  const { end, why, pauseSeconds } = result;
  for (const { disk } of endings) if (pauseSeconds !== undefined) outcome.paused(disk.disk, pauseSeconds * 1000);
  if (end === "strayed") for (const { disk } of endings) if ("job" in disk.seen) await site.guest.cancel(disk.seen.job.id);
  if (end !== "switched" || why !== null) throw notSwitched(site, endings, result);
}

/** The seconds make each word another one: so the run is not taken for one that stands still. */
function silenceWords({ silentSeconds, isSuspended }: LibvirtSilence): string {
  const guest = isSuspended ? "the guest is suspended until it does" : "the guest is not suspended";
  return `switching: libvirt has not answered for ${silentSeconds} s; ${guest}`;
}

/** Everything slow comes before the guest is suspended. */
async function prepare({ host }: Site, endings: readonly ManagedEnding[]): Promise<void> {
  for (const ending of endings) {
    for (const record of recordsOf(ending)) {
      await writeFileAtomically(host, backOf(record), manifestText(ending.disk.manifest));
      await writeFileAtomically(host, nextOf(record), manifestText(ending.next));
      if (ending.mark) await writeFileAtomically(host, markOf(record), manifestText(ending.mark));
    }
  }
}

/** @throws UserError if a layer of the live chain is no longer under its name */
async function found(site: Site, endings: readonly ManagedEnding[]): Promise<Found> {
  const images = imagesIn(endings);
  const stats = await seeFiles(site.host, images, "follow");
  const missing = images.find((_, index) => stats[index] === undefined);
  if (missing !== undefined) throw refused(site, endings, { why: `nothing lies at ${missing}`, left: stays(endings) });
  const files = new Map(images.flatMap((path, index) => (stats[index] ? [[path, stats[index]]] : [])));
  return { files, identities: await identitiesOf(site.host, namesIn(endings)) };
}

/** What is true once the guest is there, but for `current`. */
function after(manifest: Manifest, to: SwitchEnd): Manifest {
  switch (to) {
    case "target":
      return manifest;
    case "landing":
      return committedTo(manifest, "destination");
    case "former":
      return committedTo(manifest, "source");
  }
}

/** A target is like the active image that was mirrored onto it; what is committed into is the frozen image, or its copy. */
function formatOf({ image, manifest }: RecordedDisk, to: SwitchEnd): string {
  return to === "target" ? image.chain[0].format : frozenFormat(manifest);
}

/** What the worker refuses before it begins, and a switch that is not over in half an hour. */
function notTold(site: Site, endings: readonly ManagedEnding[], thrown: unknown): unknown {
  if (!isWorkerError(thrown) || thrown.failure === "bug") return thrown;
  if (thrown.failure !== "timed-out") return refused(site, endings, { why: thrown.message, left: stays(endings), cause: thrown });
  const left = "The host goes on with it as soon as libvirtd answers, and resumes the guest; the next run waits for that.";
  return refused(site, endings, { why: "libvirt did not answer for half an hour", left, cause: thrown });
}

/** A switch that did not come to its end, and where each disk is now. */
function notSwitched(site: Site, endings: readonly ManagedEnding[], { end, why, disks }: LibvirtSwitchResult): Error {
  const named = endings.filter(({ disk }) => disks.includes(disk.qdev));
  const others = endings.filter((ending) => !named.includes(ending));
  const told = { why: why ?? "it did not come to its end" };
  const concerned = named.length > 0 ? named : endings;
  switch (end) {
    case "refused":
      return refused(site, concerned, { ...told, left: stays(endings) });
    case "strayed":
      return refused(site, concerned, { ...told, left: "Nothing was switched, and the job was called off." });
    case "ended": {
      const starts = [...named.map(({ disk }) => disk.image.chain[0].path), ...others.map(({ image }) => image.path)];
      return refused(site, endings, { why: "its QEMU ended in the middle", left: `Its next start finds ${starts.join(", ")}.` });
    }
    default:
      return refused(site, concerned, { ...told, left: "What has moved has moved, and no write is lost." });
  }
}

function stays(endings: readonly ManagedEnding[]): string {
  return `Nothing was switched: the guest's disk stays on ${endings.map(({ disk }) => disk.image.chain[0].path).join(", ")}.`;
}

function refused(site: Site, endings: readonly ManagedEnding[], said: { why: string; left: string; cause?: unknown }): Error {
  const disk = endings.map((ending) => ending.disk.disk).join(", ");
  return complaint(site, { verb: "switch", disk, advice: "Run `pulumi up` again.", ...said });
}
