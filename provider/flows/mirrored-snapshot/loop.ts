/** Observe, then one step, until done: a second run finishes what a killed one began, because neither remembers anything (decisions/0001). */

import type { Job } from "../../core/disk/job.js";
import { jobNames } from "../../core/disk/names.js";
import { BugError, impossible, UserError } from "../../core/errors.js";
import { type Locks, withLocks } from "../../journal/lock.js";
import { writeSnapshotRecords } from "../../journal/snapshot-records.js";
import { Watch } from "../../reconciler/watch.js";
import type { Outcome } from "../shared/outcome.js";
import { existing } from "../shared/places.js";
import { JobTeller } from "../shared/progress.js";
import { endSharedLook } from "../shared/shared-look.js";
import { Astray, finalize } from "../shared/switch.js";
import { begin } from "./begin.js";
import { checkChains } from "./chain-check.js";
import { endSwitch } from "./end-switch.js";
import { clear, drop, setBack, tidy } from "./endings.js";
import { find, observe, placesOf } from "./observe.js";
import { checkDisks } from "./others.js";
import { pivot } from "./pivot.js";
import { type Goal, nextStep, type Step } from "./plan.js";
import { recorded, refusal, type Seen, type SeenDisk, type SnapshotSite } from "./site.js";
import { startMirror, takeSnapshot } from "./taking.js";

/** Brings the snapshot to what `goal` says, with its places locked. */
export async function settleSnapshot(site: SnapshotSite, goal: Goal, outcome: Outcome): Promise<Seen> {
  endSharedLook(site.host);
  try {
    return await withLocks(site.host, async (locks) => {
      for (const disk of (await find(site)).found) await lockPlaces(site, locks, disk);
      return await new Settling(site, goal, { outcome, locks }).run();
    });
  } finally {
    endSharedLook(site.host);
  }
}

/** The active image's directory first. */
async function lockPlaces(site: SnapshotSite, locks: Locks, disk: Pick<SeenDisk, "disk" | "key" | "active" | "wanted">): Promise<void> {
  const said = (text: string) => site.run.progress(`${disk.disk} ${text}`);
  await locks.takeAll(await existing(site.host, placesOf(disk)), disk.key, { said, stop: site.run.stop });
}

/** Steps that end the wait of a guest's I/O: also in a run that is asked to stop. */
const releasing: ReadonlySet<Step["step"]> = new Set(["end-switch", "let-go", "set-back", "cancel"]);

class Settling {
  readonly #teller = new JobTeller();
  readonly #watch: Watch;
  /** Disks whose job was let go on after an error: a second error is told. */
  readonly #continued = new Set<string>();
  /** Disks whose mirror this run has seen at work, and not cancelled: its end is ours to tell. One that was called off before is not. */
  readonly #mirrored = new Set<string>();
  #astray: Astray | undefined;

  readonly #site: SnapshotSite;
  readonly #goal: Goal;
  readonly #outcome: Outcome;
  readonly #locks: Locks;

  constructor(site: SnapshotSite, goal: Goal, { outcome, locks }: { outcome: Outcome; locks: Locks }) {
    this.#site = site;
    this.#goal = goal;
    this.#outcome = outcome;
    this.#locks = locks;

    this.#watch = new Watch(site.options.stallSeconds);
  }

  async run(): Promise<Seen> {
    for (;;) {
      const seen = await observe(this.#site);
      const step = nextStep(this.#goal, seen.disks);
      if (this.#astray && step.step !== "end-switch") throw this.#astray;
      if (step.step === "done") return seen;
      if (this.#site.run.stop.aborted && !releasing.has(step.step)) throw this.#stopped(seen);
      this.#watch.see(step, seen);
      for (const { disk, seen: now } of seen.disks) if (now.phase === "mirroring" || now.phase === "ready") this.#mirrored.add(disk);
      await this.#locks.check();
      await this.#take(step, seen).catch((thrown: unknown) => this.#endFirst(thrown));
    }
  }

  /** A pivot that has left a disk behind is ended for all of its disks before that is told. */
  #endFirst(thrown: unknown): void {
    if (!(thrown instanceof Astray)) throw thrown;
    this.#astray = thrown;
  }

  async #take(step: Exclude<Step, { step: "done" }>, seen: Seen): Promise<void> {
    const site = this.#site;
    switch (step.step) {
      case "stop":
        throw this.#refused(one(seen, step.disk), step.why, step.advice);
      case "begin":
        return begin(site, seen, of(seen, step.disks));
      case "record-mirror":
        return writeSnapshotRecords(site.host, one(seen, step.disk).key, recorded(one(seen, step.disk)).manifest);
      case "take-snapshot":
        await checkDisks(site, "take the mirrored snapshot of", of(seen, step.disks));
        await checkChains(site, of(seen, step.disks).map(recorded), "former", "take a mirrored snapshot of");
        return takeSnapshot(site, of(seen, step.disks).map(recorded));
      case "start-mirror":
        await checkDisks(site, "mirror", [one(seen, step.disk)]);
        await checkChains(site, [recorded(one(seen, step.disk))], "file", "mirror");
        return startMirror(site, seen, recorded(one(seen, step.disk)));
      case "continue-mirror":
        return this.#continueOnce(one(seen, step.disk));
      case "wait":
        return this.#wait(of(seen, step.disks));
      case "pivot":
        return pivot(site, seen, of(seen, step.disks).map(recorded), this.#outcome);
      case "end-switch":
        return endSwitch(site, of(seen, step.disks));
      case "let-go":
        return finalize(site, jobsOf(of(seen, step.disks)));
      case "cancel":
        return this.#cancel(seen, of(seen, step.disks));
      case "dismiss":
        return this.#dismiss(one(seen, step.disk));
      case "set-back":
        return setBack(site, recorded(one(seen, step.disk)));
      case "tidy":
        return tidy(site, seen, recorded(one(seen, step.disk)));
      case "drop":
        return drop(site, seen, recorded(one(seen, step.disk)));
      case "clear":
        return clear(site, recorded(one(seen, step.disk)));
      default:
        return impossible(step);
    }
  }

  async #wait(disks: readonly SeenDisk[]): Promise<void> {
    for (const disk of disks) if ("job" in disk.seen) this.#site.run.progress(this.#teller.tell(disk.disk, disk.seen));
    await this.#site.guest.wakeUp(0.5);
  }

  async #continueOnce(disk: SeenDisk): Promise<void> {
    if (disk.seen.phase !== "stalled") return;
    if (this.#continued.has(disk.disk)) {
      const what = disk.seen.job.ioStatus === "nospace" ? "has no space left" : "answers with I/O errors";
      throw this.#refused(
        disk,
        `the storage of ${disk.wanted.mirror} ${what}`,
        "Fix it, then run `pulumi up` again: the mirror goes on where it stopped.",
      );
    }
    this.#continued.add(disk.disk);
    await this.#site.guest.resume(disk.seen.job.id);
    await this.#site.guest.wakeUp(0.5);
  }

  /** In a pivot that was cut, the manifests may tell of it in part: they are set back first, as long as both sides hold the same. */
  async #cancel(seen: Seen, disks: readonly SeenDisk[]): Promise<void> {
    for (const disk of disks) if (disk.seen.phase === "pending") await setBack(this.#site, recorded(disk));
    const ours = new Set(jobsOf(disks).map(({ jobId }) => jobId));
    for (const { disk } of disks) this.#mirrored.delete(disk);
    await Promise.all(seen.view.jobs.filter(({ id }) => ours.has(id)).map(({ id }) => this.#site.guest.cancel(id)));
    await this.#site.guest.wakeUp(0.1);
  }

  /** An error that the mirror ended with under our eyes is told; the next run starts another. */
  async #dismiss(disk: SeenDisk): Promise<void> {
    if (disk.seen.phase !== "broken-off") return;
    const { job }: { job: Job } = disk.seen;
    await this.#site.guest.dismiss(job.id);
    if (job.error === undefined || !this.#mirrored.has(disk.disk)) return;
    throw this.#refused(
      disk,
      `its mirror ended with: ${job.error}`,
      "Fix the reported problem, then run `pulumi up` again: the mirror starts again from the beginning.",
    );
  }

  #refused(disk: SeenDisk, why: string, advice: string): UserError {
    const left = disk.manifest ? `The guest runs on; current: ${disk.manifest.current}.` : "Nothing was touched.";
    const verb = this.#goal === "mirror" ? "make the mirrored snapshot of" : `${this.#goal} the mirrored snapshot of`;
    return refusal(this.#site, verb, disk.disk)(why, advice, { left });
  }

  #stopped(seen: Seen): UserError {
    const current = seen.disks.map(({ disk, manifest, active }) => `${disk} on ${manifest?.current ?? active.named}`).join(", ");
    return new UserError(`Stopped as asked, between two steps: the guest runs on, ${current}. Nothing is lost: run again and it goes on.`);
  }
}

function jobsOf(disks: readonly SeenDisk[]): { jobId: string }[] {
  return disks.map(({ key }) => ({ jobId: jobNames.mirror(key) }));
}

function one(seen: Seen, disk: string): SeenDisk {
  const found = seen.disks.find((candidate) => candidate.disk === disk);
  if (!found) throw new BugError(`A step was chosen for ${disk}, which was not observed.`);
  return found;
}

function of(seen: Seen, disks: readonly string[]): SeenDisk[] {
  return disks.map((disk) => one(seen, disk));
}
