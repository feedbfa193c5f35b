/** What a run can tell of the moves that it made. Only for people: no decision rests on it. */

import type { World } from "../../core/world.js";

export interface DiskOutcome {
  copiedBytes: number;
  /**
   * How long guest I/O can have waited: from the first job-complete until the active nodes were looked at, on libvirt from suspend to
   * resume. Absent where another run, or the host alone, ended the switch.
   */
  pauseMs?: number;
  seconds: number;
  /** Files and nodes that stay behind, and why. */
  left: string[];
}

export class Outcome {
  readonly #begun: number;
  readonly #disks = new Map<string, DiskOutcome>();
  readonly #world: Pick<World, "clock">;

  constructor(world: Pick<World, "clock">) {
    this.#world = world;

    this.#begun = world.clock();
  }

  copied(disk: string, bytes: number): void {
    this.#of(disk).copiedBytes += bytes;
  }

  paused(disk: string, ms: number): void {
    this.#of(disk).pauseMs = Math.round(ms * 10) / 10;
  }

  left(disk: string, what: string): void {
    this.#of(disk).left.push(what);
  }

  /** One disk's story so far; undefined for a disk with which nothing was done. */
  tell(disk: string): DiskOutcome | undefined {
    const told = this.#disks.get(disk);
    return told && { ...told, left: [...told.left], seconds: Math.round(10 * (this.#world.clock() - this.#begun)) / 10 };
  }

  #of(disk: string): DiskOutcome {
    const known = this.#disks.get(disk);
    if (known) return known;
    const fresh: DiskOutcome = { copiedBytes: 0, seconds: 0, left: [] };
    this.#disks.set(disk, fresh);
    return fresh;
  }
}
