/** Locks on the host: flock on files of ours. Nothing but the end of who holds one ends it. */

import { z } from "zod";
import { changes, nothing, type RequestOptions, reads } from "./operation.js";
import type { Place } from "./place.js";
import type { Worker } from "./worker.js";

const acquire = changes<{ place: Place; waitSeconds: number }, { lock: number }>("lock-acquire", z.object({ lock: z.int() }));
const check = reads<{ lock: number }, { isHeld: boolean }>("lock-check", z.object({ isHeld: z.boolean() }));
const release = changes<{ lock: number; remove: boolean }, object>("lock-release", nothing);

/** A lock that this worker holds. The worker's children hold it too, until they have ended. */
export class WorkerLock {
  readonly #worker: Worker;

  constructor(
    worker: Worker,
    /** For {@link ChangeOptions.locks}. */
    readonly number: number,
  ) {
    this.#worker = worker;
  }

  /** Whether the file under its name is still the locked one. If not, another run may have the lock of a new file. */
  async isStillHeld(): Promise<boolean> {
    return (await this.#worker.request(check, { lock: this.number })).isHeld;
  }

  /** Gives it back; the file stays. */
  async release(): Promise<void> {
    await this.#worker.request(release, { lock: this.number, remove: false });
  }

  /**
   * Gives it back and removes its file, under the lock.
   * @throws WorkerError `lock-lost` if the file under its name is another one, which stays
   */
  async releaseAndRemove(): Promise<void> {
    await this.#worker.request(release, { lock: this.number, remove: true });
  }
}

export interface Locking extends RequestOptions {
  /** How long another holder is waited for. */
  waitSeconds: number;
  /**
   * Without an answer for that long it fails with `timed-out`.
   * @default `waitSeconds` and 30
   */
  deadlineSeconds?: number;
}

/**
 * Makes the file with mode 0600 where it is not there, and locks it.
 * @throws WorkerError `held` if another one holds it; `not-regular`, `wrong-mode`, `foreign-owner` if the file is none of ours
 */
export async function acquireLock(worker: Worker, place: Place, options: Locking): Promise<WorkerLock> {
  const { waitSeconds, deadlineSeconds = waitSeconds + 30 } = options;
  const { lock } = await worker.request(acquire, { place, waitSeconds }, { ...options, deadlineSeconds });
  return new WorkerLock(worker, lock);
}
