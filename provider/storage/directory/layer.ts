/** A layer's place, worked on under its lock: the copy, its partial and its sidecar, which is the lock's own file. */

import path from "node:path";
import type { Comparison } from "../../core/disk/identity.js";
import { BugError, UserError } from "../../core/errors.js";
import { type FileSeen, fileSeen, seeFile } from "../../host/file-seen.js";
import type { Host } from "../../host/host.js";
import { removeExpected, writeFile } from "../../host/worker/changes.js";
import { openDirectory, type WorkerDirectory } from "../../host/worker/directories.js";
import { openFile, type WorkerFile } from "../../host/worker/files.js";
import { acquireLock, type WorkerLock } from "../../host/worker/locks.js";
import type { NamedPlace, Place } from "../../host/worker/place.js";
import type { Worker } from "../../host/worker/worker.js";
import { isFailure, isMissing } from "../../host/worker/worker-error.js";
import { complaintOf, isRefusal, whyNotLocked } from "./layer-failures.js";
import { partialOf, readSidecar, sidecarOf } from "./layer-files.js";
import { LayerPartial } from "./layer-partial.js";
import { type CopyState, compareToRecord, formatRecord, type LayerRecord } from "./layer-record.js";

/** One look at everything that belongs to a layer. */
export interface LayerSeen {
  record: LayerRecord | "empty" | "foreign";
  layer: FileSeen | undefined;
  source: FileSeen | undefined;
}

export interface LayerOptions {
  destination: string;
  source?: string;
  /** So long without an answer or progress ends the work. */
  stallSeconds: number;
}

/** The sidecar's lock is held as long as this is open, and by what hangs under it still. */
export class Layer {
  #partial: LayerPartial | undefined;
  #source: WorkerFile | undefined;
  #lock: WorkerLock | undefined;

  readonly #worker: Worker;
  readonly #directory: WorkerDirectory;
  readonly #options: LayerOptions;
  readonly #name: string;

  private constructor(worker: Worker, held: { directory: WorkerDirectory; lock: WorkerLock }, options: LayerOptions) {
    this.#worker = worker;
    this.#directory = held.directory;
    this.#lock = held.lock;
    this.#options = options;
    this.#name = path.posix.basename(options.destination);
  }

  /**
   * `make` makes a missing sidecar first; `expect` answers `absent` then. Runs of 0.1.0 lock the same file, so each waits for the other.
   * @returns `busy` when somebody else holds the lock right now
   * @throws UserError for a sidecar that is none of ours, or that cannot be made
   */
  static async lock(host: Host, options: LayerOptions, missing: "make" | "expect"): Promise<Layer | "busy" | "absent"> {
    const worker = await host.worker();
    try {
      return await Layer.#take(worker, options, missing);
    } catch (thrown) {
      if (isFailure(thrown, "held")) return "busy";
      if (missing === "expect" && isMissing(thrown)) return "absent";
      if (!isRefusal(thrown)) throw complaintOf(thrown, (words) => words);
      const why = whyNotLocked(thrown);
      const sentence = `Unable to lock ${sidecarOf(options.destination)} on ${host.name}: ${why}. Then run \`pulumi up\` again.`;
      throw new UserError(sentence, { cause: thrown });
    }
  }

  static async #take(worker: Worker, options: LayerOptions, missing: "make" | "expect"): Promise<Layer> {
    const directory = await openDirectory(worker, path.posix.dirname(options.destination));
    try {
      const sidecar = directory.place(sidecarOf(path.posix.basename(options.destination)));
      // 0.1.0 makes it readable for all
      const lock = await acquireLock(worker, sidecar, {
        ...{ waitSeconds: 0, make: missing === "make", othersMayRead: true, deadlineSeconds: options.stallSeconds },
      });
      return new Layer(worker, { directory, lock }, options);
    } catch (thrown) {
      await directory.close();
      throw thrown;
    }
  }

  /** Lets the lock go. */
  async close(): Promise<void> {
    const lock = this.#lock;
    this.#lock = undefined;
    try {
      await Promise.all([this.#partial?.close(), this.#source?.close(), this.#directory.close(), lock?.release()]);
    } catch (thrown) {
      // where the worker has ended, all was closed with it
      if (this.#worker.ended === undefined) throw thrown;
    }
  }

  async look(): Promise<LayerSeen> {
    const { source } = this.#options;
    const [record, layer, from] = await Promise.all([
      readSidecar(this.#worker, this.#directory.place(sidecarOf(this.#name)), this.#patience),
      seeFile(this.#worker, this.#layerPlace, this.#patience),
      source === undefined ? undefined : seeFile(this.#worker, { path: source, follow: true }, this.#patience),
    ]);
    return { record, layer, source: from };
  }

  /** The source, held open from now on: what is copied is this file, whatever its name leads to. Undefined where it is not a regular file. */
  async holdSource(): Promise<FileSeen | undefined> {
    const { source = "" } = this.#options;
    try {
      this.#source ??= await openFile(this.#worker, { path: source, follow: true }, this.#patience);
      return fileSeen(this.#source.status);
    } catch (thrown) {
      if (isMissing(thrown) || isFailure(thrown, "not-regular")) return undefined;
      throw thrown;
    }
  }

  /** What can still be written beside the layer, by an ordinary user. */
  freeBytes(): Promise<number> {
    return this.#directory.freeBytes();
  }

  /** Replaces the sidecar atomically and has it safely on the storage. */
  async write(record: LayerRecord): Promise<void> {
    await this.#held.replace(`${formatRecord(record).join("\n")}\n`, this.#patience);
  }

  /** The partial of this name, held open from now on; or what lies there, if it is no regular file. */
  async partial(suffix: string): Promise<LayerPartial | FileSeen | undefined> {
    const place = this.#partialPlace(suffix);
    const there = await seeFile(this.#worker, place, this.#patience);
    return there?.kind === "file" ? this.#hold(place) : there;
  }

  /** Makes the partial exclusively, mode 0600, empty. */
  async createPartial(suffix: string): Promise<LayerPartial> {
    const place = this.#partialPlace(suffix);
    await writeFile(this.#worker, place, { ...this.#underLock, content: Buffer.alloc(0), mode: 0o600 });
    return this.#hold(place);
  }

  /** Gives a partial the layer's name, never over another file. @returns the layer */
  async place(partial: LayerPartial): Promise<FileSeen | undefined> {
    await partial.moveTo(this.#layerPlace);
    return seeFile(this.#worker, this.#layerPlace, this.#patience);
  }

  /** Removes the layer if it is proved to be the copy that is recorded. @returns what it was, beside that */
  async removeLayer(copy: CopyState): Promise<Comparison | "absent"> {
    const there = await seeFile(this.#worker, this.#layerPlace, this.#patience);
    if (!there) return "absent";
    const compared = compareToRecord(there, copy);
    if (compared !== "same" || copy.identity === undefined) return compared;
    await removeExpected(this.#worker, this.#layerPlace, { ...this.#underLock, expected: copy.identity, hidden: "allow" });
    return "same";
  }

  /** Removes the sidecar, and with it the lock, as the last thing: what was removed before it is then gone for good. */
  async forget(): Promise<void> {
    const lock = this.#held;
    this.#lock = undefined;
    await lock.releaseAndRemove();
  }

  get #held(): WorkerLock {
    if (this.#lock === undefined) throw new BugError(`The lock of ${this.#options.destination} was given back too soon.`);
    return this.#lock;
  }

  get #patience(): { deadlineSeconds: number } {
    return { deadlineSeconds: this.#options.stallSeconds };
  }

  get #underLock(): { deadlineSeconds: number; locks: readonly number[] } {
    return { ...this.#patience, locks: [this.#held.number] };
  }

  get #layerPlace(): Place {
    return this.#directory.place(this.#name);
  }

  #partialPlace(suffix: string): NamedPlace {
    return this.#directory.place(partialOf(this.#name, suffix));
  }

  async #hold(place: NamedPlace): Promise<LayerPartial> {
    const before = this.#partial;
    this.#partial = undefined;
    await before?.close();
    const shown = path.posix.join(path.posix.dirname(this.#options.destination), place.name);
    const source = this.#source?.itself;
    this.#partial = await LayerPartial.hold({ worker: this.#worker, source, path: shown, place, change: () => this.#underLock });
    return this.#partial;
  }
}
