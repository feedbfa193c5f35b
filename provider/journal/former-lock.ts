/** The locks of 0.1.0, which count as long as they beat: its runs know no flock. For one release. */

import { baseName } from "../core/disk/paths.js";
import { acquireLock, type LockSaid } from "../host/worker/locks.js";
import type { Worker } from "../host/worker/worker.js";
import { holderIs } from "./holder.js";
import { type FormerLock, readLockText } from "./lock-text.js";

/** So long without a heartbeat, and the holder counts as gone. It beats every 10 s. */
const silenceSeconds = 60;

/** Two heartbeats more: it would have beaten meanwhile. */
const patienceSeconds = silenceSeconds + 20;

/** One lock of 0.1.0, looked at again and again until it is known whether its run lives. */
export class FormerLockWatch {
  #oldest = 0;
  readonly #deadline = performance.now() + 1000 * patienceSeconds;

  /** `beats`: its run lives. `silent`: look again in a second. Ages are compared with each other, since the host's clock may jump. */
  look(lock: FormerLock, ageSeconds: number): "beats" | "silent" | "gone" {
    const state = holderIs(lock);
    if (state === "alive" || ageSeconds < this.#oldest || performance.now() > this.#deadline) return "beats";
    if (state === "gone" || ageSeconds > silenceSeconds) return "gone";
    this.#oldest = ageSeconds;
    return "silent";
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
