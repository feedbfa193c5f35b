/** Locks on the host: flock on files of ours. Nothing but the end of who holds one ends it. */

import { z } from "zod";
import { changes, nothing, type RequestOptions, reads } from "./operation.js";
import type { Place } from "./place.js";
import type { Worker } from "./worker.js";
import { isFailure } from "./worker-error.js";

const said = z.object({
  /** At most 4 KiB. */
  text: z.string(),
  /** Since its file was touched last, by the host's clock, which may jump. */
  ageSeconds: z.int(),
  /** When its file was touched last: another text says that it was touched meanwhile, whatever the clocks. */
  touched: z.string(),
});

/** What a lock's file says. Never what decides whether it is held. */
export type LockSaid = z.output<typeof said>;

interface Acquiring {
  place: Place;
  waitSeconds: number;
  make: boolean;
  othersMayRead: boolean;
}

interface Releasing {
  which: readonly number[];
  remove: boolean;
  first?: Place | undefined;
}

const acquired = said.extend({ lock: z.int() });
const acquire = changes<Acquiring, z.output<typeof acquired>>("lock-acquire", acquired);
const write = changes<{ lock: number; content: string; waitSeconds: number }, object>("lock-write", nothing);
const replace = changes<{ lock: number; content: string; locks: readonly number[] }, object>("lock-replace", nothing);
const check = reads<{ which: readonly number[] }, { areHeld: boolean[] }>("lock-check", z.object({ areHeld: z.array(z.boolean()) }));
const release = changes<Releasing, object>("lock-release", nothing);

/** A lock that this worker holds. The worker's children hold it too, until they have ended. */
export class WorkerLock {
  readonly #worker: Worker;

  constructor(
    worker: Worker,
    /** For {@link ChangeOptions.locks}. */
    readonly number: number,
    /** What its file said when it was granted. */
    readonly before: LockSaid,
  ) {
    this.#worker = worker;
  }

  /** Whether the file under its name is still the locked one. If not, another run may have the lock of a new file. */
  async isStillHeld(): Promise<boolean> {
    return (await lostLocks(this.#worker, [this])).length === 0;
  }

  /**
   * Writes into its file, in place: whoever reads it meanwhile may see a part.
   * @throws WorkerError `lock-lost`; `held` if somebody works for long under the lock of its directory, as runs of 0.1.0 do for a moment
   */
  async write(text: string): Promise<void> {
    const content = Buffer.from(text).toString("base64");
    await this.#worker.request(write, { lock: this.number, content, waitSeconds: 20 });
  }

  /**
   * What its file holds, where that decides something: whole or not at all, durable, and without a moment in which another one could have
   * the lock. Runs of 0.1.0 that keep to this lock wait for it as well.
   * @throws WorkerError `lock-lost`
   */
  async replace(text: string, options: RequestOptions = {}): Promise<void> {
    const content = Buffer.from(text).toString("base64");
    await this.#worker.request(replace, { lock: this.number, content, locks: [this.number] }, options);
  }

  /** Gives it back; the file stays. What runs under it still, past its deadline, has it until it ends. */
  release(): Promise<void> {
    return letGo(this.#worker, [this], { remove: false });
  }

  /**
   * Gives it back and removes its file, under the lock.
   * @throws WorkerError `lock-lost` if the file under its name is another one, which stays
   */
  releaseAndRemove(): Promise<void> {
    return letGo(this.#worker, [this], { remove: true });
  }
}

export interface Locking extends RequestOptions {
  /** How long another holder is waited for. */
  waitSeconds: number;
  /**
   * Makes the file with mode 0600 where it is not there.
   * @default true
   */
  make?: boolean;
  /**
   * Takes a file that others may read too. They could hold it, so what is made and replaced has mode 0600.
   * @default false
   */
  othersMayRead?: boolean;
  /**
   * Without an answer for that long it fails with `timed-out`.
   * @default `waitSeconds` and 30
   */
  deadlineSeconds?: number;
}

/**
 * Locks the file.
 * @throws WorkerError `held` if another one holds it: {@link saidByHolder} tells what its file says; `not-regular`, `wrong-mode`,
 *   `foreign-owner` if the file is none of ours
 */
export async function acquireLock(worker: Worker, place: Place, options: Locking): Promise<WorkerLock> {
  const { waitSeconds, make = true, othersMayRead = false, deadlineSeconds = waitSeconds + 30 } = options;
  const args = { place, waitSeconds, make, othersMayRead };
  const { lock, ...before } = await worker.request(acquire, args, { ...options, deadlineSeconds });
  const granted = new WorkerLock(worker, lock, before);
  worker.held.add(granted);
  return granted;
}

/** What the file of a lock says that another one holds, or undefined if this is another error. */
export function saidByHolder(thrown: unknown): LockSaid | undefined {
  return isFailure(thrown, "held") ? said.safeParse(thrown.details).data : undefined;
}

/** Those whose file is no longer under its name, in one question. */
export async function lostLocks(worker: Worker, locks: readonly WorkerLock[]): Promise<WorkerLock[]> {
  if (locks.length === 0) return [];
  const { areHeld } = await worker.request(check, { which: locks.map(({ number }) => number) });
  return locks.filter((_, index) => areHeld[index] !== true);
}

/**
 * Gives several back and removes their files, in one operation that the worker does not end in the middle of.
 * @param first is removed before them, and only as long as all of them are held
 * @throws WorkerError `lock-lost` or `system`: with `first` all are still held where that is still there
 */
export function removeLocks(worker: Worker, locks: readonly WorkerLock[], first?: Place): Promise<void> {
  return letGo(worker, locks, { remove: true, first });
}

async function letGo(worker: Worker, locks: readonly WorkerLock[], how: Pick<Releasing, "remove" | "first">): Promise<void> {
  const forget = () => {
    for (const lock of locks) worker.held.delete(lock);
  };
  try {
    await worker.request(release, { which: locks.map(({ number }) => number), ...how });
    forget();
  } catch (thrown) {
    if (how.first === undefined) forget(); // given back all the same; else they may be held still
    throw thrown;
  }
}
