/**
 * The lock beside each manifest: keeps two runs apart, whichever machines they are on.
 *
 * It is flock on a file of ours, held by the run's worker and the programs that it began. It ends with them, and by no age, clock or pid.
 */

import { fileNames } from "../core/disk/names.js";
import { baseName, within } from "../core/disk/paths.js";
import { UserError } from "../core/errors.js";
import type { World } from "../core/world.js";
import type { Host } from "../host/host.js";
import { hostErrno } from "../host/worker/errno.js";
import { fileStatus } from "../host/worker/files.js";
import { lostLocks, removeLocks, type WorkerLock } from "../host/worker/locks.js";
import type { Worker } from "../host/worker/worker.js";
import { isErrno, isFailure, isWorkerError } from "../host/worker/worker-error.js";
import { watchSeconds } from "./former-lock.js";
import { type Holder, newHolder } from "./holder.js";
import { lost, notLocked, takenSince } from "./lock-refusals.js";
import { isHeld, type Taken, takeLock, type Waiting } from "./lock-taking.js";
import { makeStateDirectory } from "./state-directory.js";

export type { Waiting };

const { ENOSPC, EDQUOT, EROFS } = hostErrno;

/** A worker whose client is gone ends after 30 s, and may end a change first. */
const usualPatienceSeconds = 45;

/** Does `work` with locks to take, by the one worker that then does everything on the host; gives them back afterwards. */
export function withLocks<T>(host: Host, work: (locks: Locks) => Promise<T>): Promise<T> {
  return host.withOneWorker(async (worker) => {
    const locks = new Locks(worker, { world: host.world, stateDirectory: host.stateDirectory });
    try {
      return await work(locks);
    } finally {
      await locks.release();
    }
  });
}

interface Locking {
  world: World;
  /** @default this run */
  holder?: Holder | undefined;
  /** How long another holder is waited for whose run is not known to be alive. */
  patienceSeconds?: number;
  /**
   * How long a lock of 0.1.0 is watched that looks old.
   * @default 20
   */
  watchSeconds?: number;
  /** Where a lock lies for which there is no room beside the active image. */
  stateDirectory: string;
}

/** Locks of one run; takes them in the order asked, gives them back all at once. Use {@link withLocks}. */
export class Locks {
  readonly holder: Holder;
  /** By its path. */
  readonly #held = new Map<string, WorkerLock>();
  /** Locks that could not be had for lack of room: nobody else may have one of them. */
  readonly #withoutRoom = new Set<string>();
  readonly #worker: Worker;
  readonly #how: Pick<Taken, "world" | "patienceSeconds" | "watchSeconds">;
  readonly #stateDirectory: string;

  constructor(worker: Worker, { world, stateDirectory, ...more }: Locking) {
    this.holder = more.holder ?? newHolder(world);
    this.#worker = worker;
    const { patienceSeconds = usualPatienceSeconds } = more;
    this.#how = { world, patienceSeconds, watchSeconds: more.watchSeconds ?? watchSeconds };
    this.#stateDirectory = stateDirectory;
  }

  /**
   * Waits for the worker of a run that is gone, and for a silent run of 0.1.0 to count as gone.
   * @throws UserError if another run is alive, or the directory cannot be written to
   */
  async take(directory: string, key: string, wait: Waiting): Promise<void> {
    const path = within(directory, fileNames.lock(key));
    try {
      await this.#take(path, wait);
    } catch (thrown) {
      throw isWorkerError(thrown) ? notLocked(this.#at(path), thrown) : thrown;
    }
  }

  /**
   * Takes the locks of all places of one disk, the active image's first: every run on this disk comes by that. So another directory
   * that is full, or that has turned read-only in the middle of a move, where no lock can be written, keeps nobody from ending what was begun.
   */
  async takeAll(directories: readonly string[], key: string, wait: Waiting): Promise<void> {
    const [home = "", ...others] = directories;
    await this.#takeFirst(home, key, wait);
    for (const directory of others) {
      const path = within(directory, fileNames.lock(key));
      try {
        await this.#take(path, wait);
      } catch (thrown) {
        if (await this.#takesNoLock(thrown, within(home, fileNames.manifest(key)))) continue;
        throw isWorkerError(thrown) ? notLocked(this.#at(path), thrown) : thrown;
      }
    }
  }

  /**
   * Beside the active image, or in the state directory while there is no room. Each run looks at the other place once more when it has its
   * own: of two that choose differently at least one sees the other.
   */
  async #takeFirst(home: string, key: string, wait: Waiting): Promise<void> {
    const [here, away] = [home, this.#stateDirectory].map((directory) => within(directory, fileNames.lock(key))) as [string, string];
    const takeAway = async () => void ((await this.#isThere(away)) && (await this.#take(away, wait)));
    await takeAway();
    if (await this.#takeIfRoom(here, wait)) return takeAway();
    await makeStateDirectory({ worker: this.#worker, path: this.#stateDirectory }, home);
    await this.#take(away, wait);
    if (!(await this.#takeIfRoom(here, wait))) this.#withoutRoom.add(here);
  }

  /** @returns whether there was room */
  async #takeIfRoom(path: string, wait: Waiting): Promise<boolean> {
    try {
      await this.#take(path, wait);
      return true;
    } catch (thrown) {
      if (isFull(thrown)) return false;
      throw isWorkerError(thrown) ? notLocked(this.#at(path), thrown) : thrown;
    }
  }

  #isThere(path: string): Promise<boolean> {
    return fileStatus(this.#worker, { path }).then(
      () => true,
      () => false, // or it lies where this account may not look: its holder looks here, before each step
    );
  }

  /** Whether the directory has no room, or is read-only while a move is under way. */
  async #takesNoLock(thrown: unknown, manifest: string): Promise<boolean> {
    if (isFull(thrown)) return true;
    return isErrno(thrown, EROFS) && this.#isThere(manifest);
  }

  async #take(path: string, wait: Waiting): Promise<void> {
    if (this.#held.has(path)) return;
    const taken = { worker: this.#worker, path, holder: this.holder, ...this.#how };
    this.#held.set(path, await takeLock(taken, wait));
  }

  /**
   * Before each step that changes something: whether all are still the files under their names.
   * @throws UserError if somebody removed one, or has one that could not be had for lack of room: another run may have begun
   */
  async check(): Promise<void> {
    for (const path of this.#withoutRoom) if (await isHeld(this.#worker, path)) throw takenSince(this.#at(path));
    const gone = new Set(await lostLocks(this.#worker, [...this.#held.values()]));
    const paths = [...this.#held].filter(([, lock]) => gone.has(lock)).map(([path]) => path);
    if (paths.length > 0) throw lost(paths, this.#worker.hostName);
  }

  /** The end of a disk's move: its last manifest goes together with its locks, so that a run which is killed right then leaves both or neither. */
  async releaseWith(manifest: string, key: string): Promise<void> {
    const mine = this.#of(key);
    const locks = mine.map(([, lock]) => lock);
    try {
      await removeLocks(this.#worker, locks, { path: manifest });
    } catch (thrown) {
      if (isFailure(thrown, "lock-lost")) await this.check();
      if (!isWorkerError(thrown)) throw thrown;
      throw new UserError(`Unable to remove ${manifest} on ${this.#worker.hostName}: ${thrown.words}. Run again.`, { cause: thrown });
    }
    for (const [path] of mine) this.#held.delete(path);
  }

  /** Whether this disk's places are held. */
  has(key: string): boolean {
    return this.#of(key).length > 0;
  }

  #of(key: string): [path: string, lock: WorkerLock][] {
    return [...this.#held].filter(([path]) => baseName(path) === fileNames.lock(key));
  }

  #at(path: string) {
    return { path, hostName: this.#worker.hostName };
  }

  /** Gives all back. A file that is another run's by now stays; a worker that has ended has given them back itself. */
  async release(): Promise<void> {
    const locks = [...this.#held.values()];
    this.#held.clear();
    this.#withoutRoom.clear();
    if (locks.length > 0) await removeLocks(this.#worker, locks).catch(() => {});
  }
}

function isFull(thrown: unknown): boolean {
  return isErrno(thrown, ENOSPC) || isErrno(thrown, EDQUOT);
}
