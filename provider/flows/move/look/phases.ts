/** From the evidence of one look to where a disk's move stands. */

import { isFile, isUnchanged } from "../../../core/disk/chain.js";
import type { Job } from "../../../core/disk/job.js";
import { jobNames, jobNamesOf } from "../../../core/disk/names.js";
import type { SwitchSide } from "../../../journal/decided-by.js";
import {
  currentStanding,
  frozenFormat,
  imagesOf,
  type Manifest,
  pathOf,
  type Standing,
  standings,
  type WrittenManifest,
} from "../../../journal/manifest.js";
import type { CutSwitch } from "../../../journal/two-sided.js";
import { type CutImage, type FoundCut, phaseOfCut } from "../../shared/cut-switch.js";
import { expectedChain, foreignTop, liveChain } from "../../shared/live-chain.js";
import { type Phase, phaseOfMirror } from "../../shared/phase.js";
import { phaseAtRest } from "./phase-at-rest.js";
import { type Evidence, type FilesNow, filesNow, isOpenByUs, isQemuOfMove, standingOf } from "./standing.js";

export async function phaseOf(evidence: Evidence): Promise<{ standing: Standing; seen: Phase }> {
  const { view, key, records } = evidence;
  const now = await filesNow(evidence);
  const standing = await standingOf(evidence, now);
  if (standing === "elsewhere") return { standing: "former", seen: await strayed(evidence) };
  const misread = misreadAs(evidence, standing);
  if (misread) return { standing, seen: { phase: "contradiction", why: misread } };
  const ours = jobNamesOf(key);
  const { source, destination, overlay } = records.manifest;
  const ends = [destination.target, ...(overlay ? [overlay.landing, source.active] : [])];
  const job = view.jobs.find(({ id, target = destination.target }) => ours.includes(id) && ends.includes(target));
  const runs = job !== undefined && job.status !== "concluded";
  if (records.cut) return { standing, seen: phaseOfCut(foundCut(evidence, records.cut, { standing, now, job: runs ? job : undefined })) };
  if (runs) return { standing, seen: phaseOfJob(evidence, job, standing) };
  // a commit down to the source was to be switched, and was not: from now on a guest on the former image would be one that lacks writes
  if (overlay?.committed === "source" && standing === "overlay") return { standing, seen: { phase: "not-let-go" } };
  // Before the ended job is looked at: what is written is set back, so that a boot finds where the guest writes. One that was suspended until its
  // pivot was seen needs no proof: where it runs is right.
  const sureOf = evidence.site.guest.traits.switching === "suspended" ? ({ phase: "not-let-go" } as const) : undefined;
  if (isAhead(records.manifest, standing)) return { standing, seen: sureOf ?? neverLetGo(records.manifest, now) };
  if (records.further && currentStanding(records.manifest) === standing) return { standing, seen: { phase: "not-let-go" } };
  if (isBehind(records.manifest, standing)) return { standing, seen: sureOf ?? neverWritten(evidence, standing) };
  return { standing, seen: job ? { phase: "ended", job } : await phaseAtRest(evidence, standing, now) };
}

interface FoundNow {
  standing: Standing;
  now: FilesNow;
  job: Job | undefined;
}

function foundCut(evidence: Evidence, { written, decided }: CutSwitch<WrittenManifest>, { standing, now, job }: FoundNow): FoundCut {
  const { current, pending } = written;
  const { manifest } = evidence.records;
  const images = imagesOf(manifest);
  const image = (side: SwitchSide): CutImage => {
    const which = standings.find((each) => images[each] === current[side]);
    const there = [which && now[which], ...(which === "former" ? [now.away] : [])];
    return { path: current[side], found: there.find((file) => file && isFile(file, pending[side])), recorded: pending[side] };
  };
  const running = (["before", "after"] as const).find((side) => current[side] === images[standing]);
  const qemu = isQemuOfMove(evidence) ? "same" : "another";
  return { running, named: evidence.named, decided, job, qemu, before: image("before"), after: image("after") };
}

/** A guest that was started from the right image, as one of another format: it sees another disk, and spoils what it writes to. */
function misreadAs({ image, named, records }: Evidence, standing: Standing): string | undefined {
  const { manifest } = records;
  if (!manifest.overlay) return undefined;
  const expected = standing === "overlay" || standing === "target" ? "qcow2" : frozenFormat(manifest);
  const { format } = image.chain[0];
  if (format === expected) return undefined;
  return `the guest has ${named} open as ${format}, which is a ${expected} image: what it reads there is not its disk. Stop the guest and start it from there as ${expected}`;
}

/** Whether the guest runs on an image that comes after the one that `current` names. */
function isBehind(manifest: Manifest, standing: Standing): boolean {
  const written = currentStanding(manifest);
  return standing === "target" ? written === "former" || written === "overlay" : standing === "landing" && written !== "landing";
}

/**
 * A switch that is not written down, or on one side only. Our own job has ended on that image, or was about to when the other side was
 * written: then it holds all, and is written down now. A guest that was started from there by hand may lack what was written elsewhere.
 */
function neverWritten(evidence: Evidence, standing: Standing): Phase {
  const { manifest, further } = evidence.records;
  if (isOpenByUs(evidence, standing) || (further && currentStanding(further) === standing)) return { phase: "not-let-go" };
  const why =
    `the guest runs on ${pathOf(manifest, standing)}, but no switch to that is recorded: ${manifest.current} holds every write, and what was ` +
    `written there last may be missing here. Stop the guest and start it from ${manifest.current}`;
  return { phase: "contradiction", why };
}

/** Whether `current` names what comes after the image on which the guest still runs. The freeze is written down before it is done. */
function isAhead(manifest: Manifest, standing: Standing): boolean {
  const written = currentStanding(manifest);
  if (manifest.overlay && standing === "former") return false;
  if (standing === "overlay") return written !== "overlay";
  return standing === "former" ? written === "target" : standing === "target" && written === "landing";
}

function phaseOfJob({ key, records }: Evidence, job: Job, standing: Standing): Phase {
  // a pull changes no path that a boot must find: it has nothing to write down, and is let go at once
  const written = job.type === "stream" || isWritten(records.manifest, job.id === jobNames.mirror(key) ? "mirror" : "commit", standing);
  const seen = phaseOfMirror(job, written ? "destination" : "source");
  if (job.id === jobNames.mirror(key)) return seen;
  const folds = standing === "overlay";
  if (seen.phase === "mirroring") return { phase: folds ? "folding" : "collapsing", job };
  return seen.phase === "ready" ? { phase: folds ? "fold-ready" : "collapse-ready", job } : seen;
}

/** Whether the end of a job is written down: a mirror's, or that of a commit from the image on which the guest stands. */
function isWritten(manifest: Manifest, kind: "mirror" | "commit", standing: Standing): boolean {
  const written = currentStanding(manifest);
  if (kind === "mirror") return written === "target";
  return standing === "overlay" ? written === "former" && manifest.overlay?.committed === "source" : written === "landing";
}

/**
 * No job that runs, and the guest is not where `current` says: it was never let go there, if that image is as it was in `pending`,
 * and the former one still has its name or the one that the switch gave it.
 */
function neverLetGo(manifest: Manifest, now: FilesNow): Phase {
  const formerThere = [now.former, now.away].some((found) => found !== undefined && isFile(found, manifest.source));
  const found = now[currentStanding(manifest)];
  const asItWas = found !== undefined && manifest.switched !== undefined && isUnchanged(found, manifest.switched);
  if (formerThere && asItWas) return { phase: "not-let-go" };
  const why =
    `the guest does not run on ${manifest.current}, but its switch to that is recorded, and ` +
    `${formerThere ? `${manifest.current} was written to since` : `${manifest.source.active} does not have its name any more`}. ` +
    "Both sides may hold writes that the other lacks. Compare them, keep both, and take away the manifests of the side that is wrong";
  return { phase: "contradiction", why };
}

/** The active image is none of the move's; perhaps one of the move's is right below it. */
async function strayed({ site, process, image, named, records: { manifest } }: Evidence): Promise<Phase> {
  const goes = `a move from ${pathOf(manifest, "former")} to ${manifest.destination.active} was begun and not ended`;
  const live = await liveChain(site.host, image, await process());
  const images: readonly Standing[] = manifest.overlay ? ["landing", "target", "overlay", "former"] : ["target", "former"];
  const chains = images.map((standing) => expectedChain(manifest, standing));
  const foreign = await foreignTop(site.host, live, chains, manifest.current);
  if (foreign !== undefined) return { phase: "contradiction", why: `it runs on ${named}, but ${goes}: ${foreign}`, foreignTop: named };
  const why =
    `it runs on ${named}, but ${goes}. ` +
    `If somebody moved the disk by hand, take away ${manifest.destination.active} and the manifests of that move by hand too`;
  return { phase: "contradiction", why };
}
