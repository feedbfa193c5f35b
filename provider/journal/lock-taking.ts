/** Taking one lock: who is waited for, and what of runs of 0.1.0 counts. */

import type { World } from "../core/world.js";
import { hostErrno } from "../host/worker/errno.js";
import { acquireLock, saidByHolder, type WorkerLock } from "../host/worker/locks.js";
import type { Worker } from "../host/worker/worker.js";
import { isErrno, isFailure } from "../host/worker/worker-error.js";
import { FormerLockWatch, removeOthers } from "./former-lock.js";
import { type Holder, holderIs } from "./holder.js";
import { heldElsewhere, notOurs } from "./lock-refusals.js";
import { lockText, readLockText } from "./lock-text.js";

/** How to wait for a lock: what is said meanwhile, and when to give up. */
export interface Waiting {
  said: (text: string) => void;
  stop: AbortSignal;
}

export interface Taken {
  world: World;
  worker: Worker;
  path: string;
  /** Who takes it. */
  holder: Holder;
  /** How long another holder is waited for whose run is not known to be alive. */
  patienceSeconds: number;
  /** How long a lock of 0.1.0 is watched that looks old. */
  watchSeconds: number;
}

/**
 * The lock, once its file says who holds it.
 * @throws UserError if another run is alive, or the file is none of ours
 * @throws WorkerError if it cannot be locked or written
 */
export async function takeLock(taken: Taken, wait: Waiting): Promise<WorkerLock> {
  const former = new FormerLockWatch(taken.world, taken.watchSeconds);
  for (;;) {
    const lock = await granted(taken, wait);
    try {
      if (await isFree(taken, { lock, former, wait })) {
        await lock.write(lockText(taken.holder));
        await removeOthers(taken.worker, taken.path, lock.before);
        return lock;
      }
    } catch (thrown) {
      await giveBack(lock);
      if (isFailure(thrown, "lock-lost")) continue; // a run of 0.1.0 has put its own file there meanwhile
      throw thrown;
    }
    await lock.release();
    await taken.world.sleep(1, wait.stop);
  }
}

/** Whether another run has it now. */
export async function isHeld(worker: Worker, path: string): Promise<boolean> {
  try {
    await (await acquireLock(worker, { path }, { waitSeconds: 0, make: false })).release();
    return false;
  } catch (thrown) {
    if (isErrno(thrown, hostErrno.ENOENT)) return false;
    if (isFailure(thrown, "held")) return true;
    throw thrown;
  }
}

/** Waits for who holds the file: the worker of a run that has ended may still be there, or a program that it began. */
async function granted({ world, worker, path, patienceSeconds }: Taken, wait: Waiting): Promise<WorkerLock> {
  const deadline = world.clock() + patienceSeconds;
  let holder: Holder | undefined;
  for (let waitSeconds = 0; ; waitSeconds = 1) {
    try {
      return await acquireLock(worker, { path }, waitSeconds === 0 ? { waitSeconds } : { waitSeconds, signal: wait.stop });
    } catch (thrown) {
      const said = saidByHolder(thrown);
      if (said === undefined && !isFailure(thrown, "cancelled")) throw thrown;
      if (said !== undefined) holder = readLockText(said.text).holder;
    }
    const isOver = wait.stop.aborted || world.clock() > deadline;
    const isAlive = holder !== undefined && holderIs(world, holder) === "alive";
    if (isOver || isAlive) throw heldElsewhere({ path, hostName: worker.hostName }, holder, world);
    wait.said(`waits for the lock of ${holder === undefined ? "another run" : `a run on ${holder.name}`}`);
  }
}

interface Granted {
  lock: WorkerLock;
  former: FormerLockWatch;
  wait: Waiting;
}

/** Whether no run of 0.1.0 has it, which holds no flock. `false`: look again. @throws UserError if one has, or the file is none of ours */
async function isFree({ world, worker, path }: Taken, { lock, former, wait }: Granted): Promise<boolean> {
  const { text, ageSeconds } = lock.before;
  const found = readLockText(text);
  const at = { path, hostName: worker.hostName };
  if (found.by === "somebody") throw notOurs(at);
  if (found.by === "ours") return true;
  const state = former.look(found.holder, lock.before);
  if (state === "gone") return true;
  if (state === "beats" || wait.stop.aborted) throw heldElsewhere(at, found.holder, world);
  wait.said(`waits for the lock of a run on ${found.holder.name} that has been silent for ${Math.max(0, ageSeconds)} s`);
  return false;
}

/** A file that was made for nothing goes again. */
async function giveBack(lock: WorkerLock): Promise<void> {
  const givenBack = lock.before.text === "" ? lock.releaseAndRemove() : lock.release();
  await givenBack.catch(() => {}); // it is another one's by now, or the worker has ended: what is thrown says more
}
