/**
 * What one run does about the jobs of its disks. It remembers what it has begun, only to do nothing twice and to tell a failure from
 * what was called off; where a move stands is read from the host alone.
 */

import { isKind } from "../../core/errors.js";
import { JobTeller } from "../shared/progress.js";
import type { SeenDisk, Site } from "../shared/site.js";
import { copyVanished } from "./managed/mirror.js";
import { jobsOf, manifestOf } from "./steps/chosen.js";
import { setBack } from "./steps/endings.js";
import { pullFailed } from "./steps/freezing.js";
import { checkRoom, dismissJob, stalledAgain } from "./steps/mirroring.js";

export class Tending {
  readonly #teller = new JobTeller();
  /** Disks whose job was let go on after an error: a second error of the same kind is told. */
  readonly #continued = new Set<string>();
  /** Those of these disks whose mirror an earlier run has left waiting: if it cannot go on, it is started again, once. */
  readonly #inherited = new Set<string>();
  /** Disks of which this run has started a job or seen it at work, and not cancelled it: its end is ours to tell. */
  readonly #watched = new Set<string>();
  /** Disks whose pull this run has started: it leaves no error behind, only a chain that is as long as before. */
  readonly #pulled = new Set<string>();
  /** Disks whose copy by libvirt this run has started: if it ends by itself, nothing of it is left to be seen. */
  readonly #copies = new Set<string>();

  readonly #site: Site;

  constructor(site: Site) {
    this.#site = site;
  }

  /** A job is about to be started. @throws UserError if it was before, in this run, and has ended by itself without a trace */
  begins(step: "start-mirror" | "collapse" | "fold", disk: SeenDisk): void {
    this.#watched.add(disk.disk);
    if (step === "start-mirror" && this.#site.guest.managed) {
      if (this.#copies.has(disk.disk)) throw copyVanished(this.#site, disk);
      this.#copies.add(disk.disk);
    }
    if (step === "collapse" && manifestOf(disk).overlay?.collapse === "pull") {
      if (this.#pulled.has(disk.disk)) throw pullFailed(this.#site, disk);
      this.#pulled.add(disk.disk);
    }
  }

  /** Tells how far the jobs are, and waits for the next word of the guest, half a second at most. */
  async wait(disks: readonly SeenDisk[]): Promise<void> {
    for (const { disk, seen } of disks) {
      if (!("job" in seen)) continue;
      if (["mirroring", "collapsing", "folding"].includes(seen.phase)) await this.#attend(disk, seen.job.id);
      this.#site.run.progress(this.#teller.tell(disk, seen));
    }
    await this.#site.guest.wakeUp(0.5);
  }

  /** A job that an earlier run started goes on at the speed that is wanted now. */
  async #attend(disk: string, jobId: string): Promise<void> {
    if (this.#watched.has(disk)) return;
    this.#watched.add(disk);
    try {
      await this.#site.guest.setSpeed(jobId, this.#site.options.maxBytesPerSecond);
    } catch (refusal) {
      if (!isKind(refusal, "user")) throw refusal; // it has come to its end meanwhile: the next look tells
    }
  }

  /** A job that an error has stopped. @throws UserError if there is no room for it, or if the same happens a second time */
  async goOnOnce(disk: SeenDisk): Promise<void> {
    if (disk.seen.phase !== "stalled") return;
    const { job } = disk.seen;
    await checkRoom(this.#site, disk, job);
    // QEMU lets no flush of a file succeed once one has failed (page_cache_inconsistent in block/file-posix.c, 7.2): a new target helps
    if (this.#continued.has(disk.disk) && this.#inherited.delete(disk.disk)) return this.cancel([disk]);
    if (this.#continued.has(disk.disk)) throw stalledAgain(this.#site, disk, job);
    this.#continued.add(disk.disk);
    if (!this.#watched.has(disk.disk) && job.type === "mirror") this.#inherited.add(disk.disk);
    await this.#site.guest.resume(job.id);
  }

  /**
   * Their ends will be none of a failure. In a switch that was cut, the manifests, the link and the names may tell of it in part: they are
   * set back first, as long as both sides hold the same.
   */
  async cancel(disks: readonly SeenDisk[]): Promise<void> {
    for (const disk of disks) if (disk.seen.phase === "pending") await setBack(this.#site, disk, manifestOf(disk));
    for (const { disk } of disks) {
      this.#watched.delete(disk);
      this.#copies.delete(disk);
    }
    await Promise.all(jobsOf(disks).map(({ jobId }) => this.#site.guest.cancel(jobId)));
    await this.#site.guest.wakeUp(0.1);
  }

  /** @throws UserError with the error of a job that this run has started or seen at work */
  async dismiss(disk: SeenDisk): Promise<void> {
    if (disk.seen.phase !== "ended") return;
    await dismissJob(this.#site, disk, disk.seen.job, this.#watched.has(disk.disk) ? "failed" : "called-off");
  }
}
