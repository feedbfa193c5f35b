/** The places of a flow's disks, held by one run at a time. */

import type { DiskKey } from "../core/disk/names.js";
import type { Run } from "../core/lifecycle.js";
import { type Locks, withLocks } from "../journal/lock.js";
import type { FlowContext } from "./flow.js";

/** Which directories a flow of a disk concerns, those first that are locked first: the active image's, the wanted one, and those of a flow that is under way. */
export interface DiskPlaces {
  disk: string;
  key: DiskKey;
  directories: string[];
}

/** Does `work` while no other run may touch these disks' places. */
export function withPlaces<T>(
  { host, run }: Pick<FlowContext, "host" | "run">,
  find: () => Promise<readonly DiskPlaces[]>,
  work: (places: HeldPlaces) => Promise<T>,
): Promise<T> {
  return withLocks(host, async (locks) => {
    const places = new HeldPlaces(run, locks, await find());
    await places.take();
    return await work(places);
  });
}

/** The locked directories of every disk. */
export class HeldPlaces {
  readonly #run: Run;
  readonly #locks: Locks;

  constructor(
    run: Run,
    locks: Locks,
    readonly all: readonly DiskPlaces[],
  ) {
    this.#run = run;
    this.#locks = locks;
  }

  /** As the user calls them. */
  get disks(): string[] {
    return this.all.map(({ disk }) => disk);
  }

  /** Of each disk the source's directory first, then the destination's, then those of a move that is under way. */
  async take(places = this.all): Promise<void> {
    for (const { key, disk, directories } of places) {
      await this.#locks.takeAll(directories, key, { said: (text) => this.#run.progress(`${disk} ${text}`), stop: this.#run.stop });
    }
  }

  /** Before each step. @throws UserError if somebody removed a lock: another run may have begun */
  check(): Promise<void> {
    return this.#locks.check();
  }

  /** Removes the last manifest of a disk with which all is done, and its locks with it. */
  giveBackWith(manifest: string, key: string): Promise<void> {
    return this.#locks.releaseWith(manifest, key);
  }

  /** Of these disks, with which something is to be done all the same. @returns whether any was taken, so that what was seen before does not count */
  async takeBack(disks: readonly string[]): Promise<boolean> {
    const given = this.all.filter(({ disk, key }) => disks.includes(disk) && !this.#locks.has(key));
    await this.take(given);
    return given.length > 0;
  }
}
