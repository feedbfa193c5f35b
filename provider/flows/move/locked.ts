/** The places of a move, held by one run at a time. */

import type { Run } from "../../core/lifecycle.js";
import { type Locks, withLocks } from "../../journal/lock.js";
import type { Site } from "../shared/site.js";
import { type DiskPlaces, observeNames } from "./look/observe.js";
import { endSharedLook } from "./look/shared-look.js";
import { awaitFormerSwitch } from "./managed/former-switch.js";
import { letGoSuspended } from "./managed/suspended.js";

/**
 * Does `work` while no other run may touch these disks' places. First waits for a switch of a run of 0.1.0, and resumes a guest that one of
 * ours has left suspended.
 * @throws UserError if another run holds a lock, a switch is not over, its guest is suspended still, or a disk or a manifest is not as it must be: then
 *   `work` was not begun
 */
export async function withPlacesLocked<T>(site: Site, disks: readonly string[], work: (places: HeldPlaces) => Promise<T>): Promise<T> {
  endSharedLook(site.host);
  try {
    return await withLocks(site.host, async (locks) => {
      const places = new HeldPlaces(site.run, locks, await observeNames(site, disks));
      await places.take();
      await awaitFormerSwitch(site, places.all);
      await letGoSuspended(site, disks);
      return await work(places);
    });
  } finally {
    endSharedLook(site.host); // one that was begun meanwhile may have seen a disk half-way
  }
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
