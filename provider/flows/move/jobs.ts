/** What a move says of its jobs. */

import { directoryOf } from "../../core/disk/paths.js";
import { BugError } from "../../core/errors.js";
import { JobSupervisor, type Traceless } from "../../reconciler/job-supervisor.js";
import { complaint } from "../shared/complaint.js";
import type { SeenDisk, Site } from "../shared/site.js";
import type { Step } from "./plan.js";
import { manifestOf } from "./steps/chosen.js";
import { pullFailed } from "./steps/freezing.js";
import { copyVanished } from "./steps/mirroring.js";

export type MoveJobs = JobSupervisor<SeenDisk>;

export function moveJobs(site: Site): MoveJobs {
  return new JobSupervisor<SeenDisk>(site, {
    working: new Set(["mirroring", "collapsing", "folding"]),
    storageOf: (disk) => storageOf(site, disk),
    targets: "made again",
    refuse: ({ disk }, why, more) => complaint(site, { verb: "go on with the move of", disk, why, ...more }),
  });
}

/** An overlay that is folded is written into the image at the source. */
function storageOf({ destination }: Site, { disk, seen, standing, manifest }: SeenDisk): string {
  if (manifest && standing === "overlay" && "job" in seen && seen.job.type === "commit") return directoryOf(manifest.source.active);
  const directory = manifest?.destination.directory ?? destination;
  if (directory === undefined) throw new BugError(`A job of ${disk} waits for room in a place that nothing names.`);
  return directory;
}

/** A job is about to be started. @throws UserError if it was before, in this run, and has ended by itself without a trace */
export function begins({ site, jobs }: { site: Site; jobs: MoveJobs }, step: Step["step"], disk: SeenDisk): void {
  jobs.begins(disk, traceless(site, step, disk));
}

function traceless(site: Site, step: Step["step"], disk: SeenDisk): Traceless | undefined {
  const manifest = manifestOf(disk);
  const { startedAt, destination, overlay } = manifest;
  const job = `${step} of ${startedAt} to ${destination.target}`;
  if (step === "start-mirror" && site.guest.traits.failedMirror === "vanishes")
    return { job, vanished: () => copyVanished(site, disk, manifest) };
  if (step === "collapse" && overlay?.collapse === "pull") return { job, vanished: () => pullFailed(site, disk) };
  return undefined;
}
