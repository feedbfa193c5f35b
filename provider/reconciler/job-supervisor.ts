/**
 * What one run does about the jobs of its disks. It remembers what it has begun, only to do nothing twice and to tell a failure from
 * what was called off; where a flow stands is read from the host alone.
 */

import { bytesText } from "../core/bytes.js";
import type { Job } from "../core/disk/job.js";
import { isKind } from "../core/errors.js";
import { freeBytes } from "../host/files.js";
import { currentOf, type DiskObservation, type FlowContext } from "./flow.js";
import { JobTeller } from "./progress.js";

/** A job that leaves no trace where it ends by itself. */
export interface Traceless {
  /** Which job it is: of two moves of one disk, each has its own. */
  job: string;
  /** What to tell where this run has started it before. */
  vanished: () => Error;
}

/** What a flow says of its jobs. */
export interface JobWords<D> {
  /** Phases in which a job does its work, before it is ready. */
  working: ReadonlySet<string>;
  /** The directory that the disk's job writes to. */
  storageOf(disk: D): string;
  /** What may be done about a mirror that stopped on an error, whose target is only a copy that is yet to be made. */
  targets: "made again" | "kept";
  /** What else there is to do about a job that answers with I/O errors whatever was repaired, as a sentence behind a space. */
  stuck?: string;
  refuse(disk: D, why: string, more: { left: string; advice: string; tellsCurrent?: boolean }): Error;
}

export class JobSupervisor<D extends DiskObservation> {
  readonly #teller: JobTeller;
  /** Disks whose job was resumed after an error: a second error of the same kind is told. */
  readonly #resumed = new Set<string>();
  /** Those of these disks whose mirror an earlier run has left waiting: if it cannot go on, it is started again, once. */
  readonly #inherited = new Set<string>();
  /** Disks of which this run has started a job or seen it at work, and not cancelled it: its end is ours to tell. */
  readonly #watched = new Set<string>();
  /** Those whose job has the speed that is wanted. */
  readonly #paced = new Set<string>();
  /** By disk: jobs that this run has started and that leave no trace where they end by themselves. */
  readonly #traceless = new Map<string, Set<string>>();

  readonly #context: FlowContext;
  readonly #words: JobWords<D>;

  constructor(context: FlowContext, words: JobWords<D>) {
    this.#context = context;
    this.#words = words;
    this.#teller = new JobTeller(context.run.world);
  }

  /** A job is about to be started. @throws UserError for one that this run has started before, and that has gone without a trace */
  begins({ disk }: Pick<D, "disk">, traceless?: Traceless): void {
    this.#watched.add(disk);
    this.#paced.add(disk);
    if (!traceless) return;
    const begun = this.#traceless.get(disk) ?? new Set();
    if (begun.has(traceless.job)) throw traceless.vanished();
    this.#traceless.set(disk, begun.add(traceless.job));
  }

  /** Jobs that are ready: they are not waited for, and how they end is ours to tell. */
  seeReady(disks: readonly D[]): void {
    for (const { disk, seen } of disks) if (seen.phase === "ready") this.#watched.add(disk);
  }

  /** Tells how far the jobs are, and waits for the next word of the guest, half a second at most. */
  async wait(disks: readonly D[]): Promise<void> {
    for (const { disk, seen } of disks) {
      const { phase, job } = seen;
      if (!job) continue;
      if (this.#words.working.has(phase)) await this.#watch(disk, job.id);
      this.#context.run.progress(this.#teller.tell(disk, { phase, job }));
    }
    await this.#context.guest.wakeUp(0.5);
  }

  /** A job that an earlier run started goes on at the speed that is wanted now. */
  async #watch(disk: string, jobId: string): Promise<void> {
    this.#watched.add(disk);
    if (this.#paced.has(disk)) return;
    this.#paced.add(disk);
    try {
      await this.#context.guest.setSpeed(jobId, this.#context.options.maxBytesPerSecond);
    } catch (refusal) {
      if (!isKind(refusal, "user")) throw refusal; // it has come to its end meanwhile: the next look tells
    }
  }

  /** A job that an error has stopped. @throws UserError if there is no room for it, or if the same happens a second time */
  async resumeOnce(disk: D): Promise<void> {
    const { job, phase } = disk.seen;
    if (phase !== "stalled" || !job) return;
    const free = job.ioStatus === "nospace" ? await freeBytes(this.#context.host, this.#words.storageOf(disk)) : undefined;
    if (free !== undefined && free < this.#needed(job)) throw this.#full(disk, job, free);
    // QEMU lets no flush of a file succeed once one has failed (page_cache_inconsistent in block/file-posix.c, 7.2): a new target helps
    if (free === undefined && this.#resumed.has(disk.disk) && this.#inherited.delete(disk.disk)) return this.cancel([disk]);
    if (this.#resumed.has(disk.disk)) throw free === undefined ? this.#failsAgain(disk, job) : this.#full(disk, job, free);
    this.#resumed.add(disk.disk);
    const isCopy = job.type === "mirror" && this.#words.targets === "made again";
    if (isCopy && !this.#watched.has(disk.disk)) this.#inherited.add(disk.disk);
    await this.#context.guest.resume(job.id);
    await this.#context.guest.wakeUp(0.5);
  }

  /** Their ends will be none of a failure. */
  async cancel(disks: readonly D[]): Promise<void> {
    for (const { disk } of disks) {
      this.#watched.delete(disk);
      this.#paced.delete(disk);
      this.#traceless.delete(disk);
    }
    const jobs = disks.flatMap(({ seen }) => (seen.job ? [seen.job.id] : []));
    await Promise.all(jobs.map((id) => this.#context.guest.cancel(id)));
    await this.#context.guest.wakeUp(0.1);
  }

  /**
   * Takes an ended job away. One that was called off tells that as an error too (QEMU 7.2): by this run, or by the worker of one that was cut.
   * @throws UserError with the error of a job that this run has started or seen at work: the next run starts another one
   */
  async dismiss(disk: D): Promise<void> {
    const { job } = disk.seen;
    if (job?.status !== "concluded") return;
    await this.#context.guest.dismiss(job.id);
    if (job.error === undefined || !this.#watched.has(disk.disk)) return;
    throw this.#words.refuse(disk, `the ${job.type} job ended with: ${job.error}`, {
      left: `The guest runs on ${currentOf(disk)}, which is current; what was copied is kept.`,
      advice: "Fix the reported problem, then run `pulumi up` again: only that job starts again.",
    });
  }

  /** Only a mirror onto an image that was made for it writes what its progress says: others have written some of it before, or read it. */
  #needed(job: Job): number {
    return job.type === "mirror" && this.#words.targets === "made again" ? Math.max(missingBytes(job) ?? 1, 1) : 1;
  }

  #full(disk: D, job: Job, free: number): Error {
    const storage = this.#words.storageOf(disk);
    const missing = job.type === "mirror" ? missingBytes(job) : undefined;
    const written =
      missing === undefined ? "how much is still to be written is not known" : `${bytesText(missing)} are still to be written`;
    const more = Math.max((missing ?? 1) - free, 1);
    const why = `${storage} is full: ${written}, ${bytesText(free)} are free: free at least ${bytesText(more, "up")}`;
    return this.#waits(disk, why, "Then run `pulumi up` again: it goes on where it stopped.");
  }

  #failsAgain(disk: D, job: Job): Error {
    const why = `the ${job.type} job's storage ${this.#words.storageOf(disk)} answers with I/O errors`;
    const { stuck = "" } = this.#words;
    return this.#waits(disk, why, `Repair the storage, then run \`pulumi up\` again: it goes on where it stopped.${stuck}`);
  }

  #waits(disk: D, why: string, advice: string): Error {
    return this.#words.refuse(disk, why, {
      left: `The job waits; the guest goes on writing to ${currentOf(disk)}, which is current.`,
      tellsCurrent: true,
      advice,
    });
  }
}

function missingBytes({ currentProgress: done, totalProgress: total }: Job): number | undefined {
  return done === undefined || total === undefined ? undefined : total - done;
}
