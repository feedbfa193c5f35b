/** One QMP session a monitor, shared by everybody who asks about that guest. */

import type { World } from "../../core/world.js";
import type { Host } from "../../host/host.js";
import type { Worker } from "../../host/worker/worker.js";
import { type Patience, QmpSession } from "./client.js";
import { whyNoSession } from "./no-session.js";

/** Long enough that reads of one guest which follow each other share a session, short enough that others get the monitor. */
const idleSeconds = 1;

/** A way to a monitor: several may lead to one, by other names of the host, other users, other paths. */
export interface Way {
  host: Host;
  socket: string;
}

/** A session, and who uses it. */
interface Shared {
  opening: Promise<QmpSession>;
  users: number;
  /** Keeps it from being closed for idleness. */
  keep: () => void;
  whenFree: "keep a while" | "close";
}

/**
 * The session with one monitor: opened on demand, closed when nobody has used it for a while, opened again after it broke.
 *
 * A session is its worker's. Who uses another worker has another one: a run whose worker has ended must not command through another run's.
 */
export class Channel {
  readonly #sessions = new Map<Worker, Shared>();
  #heard = 0;

  /** Whether there is a session, or one is being opened. */
  get isOpen(): boolean {
    return this.#sessions.size > 0;
  }

  /**
   * Does `work` on the session of the worker that the way's host has now, which stays open as long. Where there is none, it is opened by this way.
   * @throws GuestNotRunning if there is no such guest
   * @throws UnreachableError if the monitor is busy with another client, or does not answer, or if the worker of a run that is at work has ended
   */
  async use<T>(way: Way, work: (session: QmpSession) => Promise<T>, patience: Patience = {}): Promise<T> {
    const worker = await way.host.worker();
    const shared = this.#sessions.get(worker) ?? this.#open(worker, way, patience);
    shared.keep();
    shared.users++;
    try {
      return await work(await shared.opening);
    } finally {
      shared.users--;
      this.#rest(worker, shared, way.host.world);
    }
  }

  /** How often the monitor has spoken on its own, or was lost. */
  get heard(): number {
    return this.#heard;
  }

  /** Gives the monitor back: at once, or as soon as the last one who uses it is done. */
  close(): void {
    for (const [worker, shared] of this.#sessions) {
      shared.whenFree = "close";
      if (shared.users === 0) this.#drop(worker, shared);
    }
  }

  #rest(worker: Worker, shared: Shared, world: World): void {
    if (shared.users > 0) return;
    if (shared.whenFree === "close") this.#drop(worker, shared);
    else shared.keep = world.after(idleSeconds, () => this.#drop(worker, shared));
  }

  #drop(worker: Worker, shared: Shared): void {
    shared.keep();
    this.#forget(worker, shared);
    shared.opening.then(
      (open) => open.close(),
      () => {},
    );
  }

  #forget(worker: Worker, shared: Shared): void {
    if (this.#sessions.get(worker) === shared) this.#sessions.delete(worker);
  }

  /** A monitor serves one client: the sessions of other workers are given back. */
  #open(worker: Worker, way: Way, patience: Patience): Shared {
    this.close();
    const shared: Shared = { opening: open(worker, way, patience), users: 0, keep: () => {}, whenFree: "keep a while" };
    this.#sessions.set(worker, shared);
    const forget = () => this.#forget(worker, shared);
    shared.opening.then((session) => {
      session.listen(() => {
        this.#heard++;
        if (!session.usable) forget();
      });
    }, forget);
    return shared;
  }
}

async function open(worker: Worker, { host, socket }: Way, patience: Patience): Promise<QmpSession> {
  try {
    return await QmpSession.open({ worker, socket, name: `${socket} on ${host.name}` }, patience);
  } catch (cause) {
    throw whyNoSession({ socket, hostName: host.name }, cause);
  }
}
