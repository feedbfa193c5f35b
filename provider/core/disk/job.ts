/** A block job's status, in QEMU's words. */

import { z } from "zod";

/** @see QEMU QMP reference, JobStatus (job.c: JobSTT) */
export const jobStatus = z.enum([
  "undefined",
  "created",
  "running",
  "paused",
  "ready",
  "standby",
  "waiting",
  "pending",
  "aborting",
  "concluded",
  "null",
]);
export type JobStatus = z.output<typeof jobStatus>;

/** One job on a disk, ours or somebody else's. */
export interface Job {
  id: string;
  type: string;
  status: JobStatus;
  /** Units of the job's own; for a mirror and a copy, bytes. Both are absent where the hypervisor does not tell. */
  currentProgress?: number;
  totalProgress?: number;
  /** Why the job stopped on its own: a failed job that is `concluded`, not yet dismissed. */
  error?: string;
  /** `nospace` or `failed` while an error policy of `stop` holds the job; `ok` otherwise. */
  ioStatus: "ok" | "failed" | "nospace";
  /** The file that a copy is made onto, where the hypervisor says so (libvirt): a copy onto another file is not ours, whatever its name. */
  target?: string;
}
