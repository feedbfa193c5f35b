/** The disks that a step is about, with what it needs of them. Pure. */

import { BugError } from "../../../core/errors.js";
import type { Manifest } from "../../../journal/manifest.js";
import type { RecordedDisk, SeenDisk } from "../../shared/site.js";

export function manifestOf({ disk, manifest }: SeenDisk): Manifest {
  if (!manifest) throw new BugError(`A step was chosen for ${disk} that needs its manifest.`);
  return manifest;
}

export function written(disk: SeenDisk): RecordedDisk {
  return { ...disk, manifest: manifestOf(disk) };
}

/** The jobs that the disks' phases tell of. */
export function jobsOf(disks: readonly SeenDisk[]): { jobId: string }[] {
  return disks.flatMap(({ seen }) => ("job" in seen ? [{ jobId: seen.job.id }] : []));
}
