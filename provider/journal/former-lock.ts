/** The locks of 0.1.0, which count as long as they beat: its runs know no flock. For one release. */

import { baseName } from "../core/disk/paths.js";
import type { World } from "../core/world.js";
import { acquireLock, type LockSaid } from "../host/worker/locks.js";
import type { Worker } from "../host/worker/worker.js";
import { holderIs } from "./holder.js";
import { type FormerLock, readLockText } from "./lock-text.js";

/** So long without a heartbeat, and the holder counts as gone. It beats every 10 s. */
const silenceSeconds = 60;

/** Two heartbeats: whoever is alive has beaten meanwhile. */
export const watchSeconds = 20;

/** Between two looks, each a second after the other. */
const gapSecondsAtMost = 2;

/** Two heartbeats more: it would have beaten meanwhile. */
const patienceSeconds = silenceSeconds + watchSeconds;

/**
 * One lock of 0.1.0, looked at again and again until it is known whether its run lives. Its age alone says nothing: the host's clock may have
 * jumped, and the file's time may be another machine's. So nobody is gone whose file we have not watched ourselves.
 */
export class FormerLockWatch {
  #first: string | undefined;
  #looked: number | undefined;
  #watched = 0;
  readonly #world: World;
  readonly #seconds: number;

  /** @param seconds how long a lock that is old is watched before its run counts as gone */
  constructor(world: World, seconds: number) {
    this.#world = world;
    this.#seconds = seconds;
  }

  /** `beats`: its run lives. `silent`: look again in a second. */
  look(lock: FormerLock, { ageSeconds, touched }: Pick<LockSaid, "ageSeconds" | "touched">): "beats" | "silent" | "gone" {
    const state = holderIs(this.#world, lock);
    if (state !== "perhaps") return state === "alive" ? "beats" : "gone";
    this.#first ??= touched;
    if (touched !== this.#first) return "beats";
    const watched = this.#watch();
    if (watched > patienceSeconds) return "gone"; // eight heartbeats are missing, whatever the clocks say
    return watched >= this.#seconds && ageSeconds > silenceSeconds ? "gone" : "silent";
  }

  /** How long it was looked at by now. While the host stood still nobody could beat, so a long gap counts as a short one. */
  #watch(): number {
    const now = this.#world.clock();
    this.#watched += Math.min(now - (this.#looked ?? now), gapSecondsAtMost);
    this.#looked = now;
    return this.#watched;
  }
}

/**
 * Of a lock that a run of 0.1.0 left: removes its other locks of this disk, those that still say the same.
 * @param before what the file at `path` said
 */
export async function removeOthers(worker: Worker, path: string, before: LockSaid): Promise<void> {
  const found = readLockText(before.text);
  const places = found.by === "0.1.0" ? found.holder.places : [];
  for (const other of places.filter((place) => place !== path && baseName(place) === baseName(path))) {
    try {
      const lock = await acquireLock(worker, { path: other }, { waitSeconds: 0, make: false });
      await (lock.before.text === before.text ? lock.releaseAndRemove() : lock.release());
    } catch {
      // it is gone, or somebody else's by now: who comes there looks at it
    }
  }
}
