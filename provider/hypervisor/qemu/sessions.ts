/** One QMP session a monitor, shared by everybody who asks about that guest. */

import type { Host } from "../../host/host.js";
import { QmpSession } from "./client.js";
import { whyNoSession } from "./no-session.js";

/** Long enough that reads of one guest which follow each other share a session, short enough that others get the monitor. */
const idleSeconds = 1;

/** A way to a monitor: several may lead to one, by other names of the host, other users, other paths. */
export interface Way {
  host: Host;
  socket: string;
}

/** The session with one monitor: opened on demand, closed when nobody has used it for a while, opened again after it broke. */
export class Channel {
  #session: Promise<QmpSession> | undefined;
  #users = 0;
  #idle: NodeJS.Timeout | undefined;
  #whenFree: "keep a while" | "close" = "keep a while";
  #heard = 0;

  /** Whether there is a session, or one is being opened. */
  get isOpen(): boolean {
    return this.#session !== undefined;
  }

  /**
   * Does `work` on the session, which stays open as long. Where there is none, it is opened by this way.
   * @throws GuestNotRunning if there is no such guest
   * @throws UnreachableError if the monitor is busy with another client, or does not answer
   */
  async use<T>(way: Way, work: (session: QmpSession) => Promise<T>): Promise<T> {
    clearTimeout(this.#idle);
    this.#users++;
    try {
      this.#session ??= this.#connect(way);
      return await work(await this.#session);
    } finally {
      this.#users--;
      if (this.#users === 0) this.#rest();
    }
  }

  /** How often the monitor has spoken on its own, or was lost. */
  get heard(): number {
    return this.#heard;
  }

  /** Gives the monitor back: at once, or as soon as the last one who uses it is done. */
  close(): void {
    this.#whenFree = "close";
    if (this.#users === 0) this.#rest();
  }

  #rest(): void {
    clearTimeout(this.#idle);
    if (this.#whenFree === "close") this.#drop();
    else this.#idle = setTimeout(() => this.#drop(), idleSeconds * 1000);
  }

  #drop(): void {
    const session = this.#session;
    this.#session = undefined;
    this.#whenFree = "keep a while";
    session?.then(
      (open) => open.close(),
      () => {},
    );
  }

  #connect(way: Way): Promise<QmpSession> {
    const opening = open(way);
    const forget = () => {
      if (this.#session === opening) this.#session = undefined;
    };
    opening.then((session) => {
      session.listen(() => {
        this.#heard++;
        if (!session.usable) forget();
      });
    }, forget);
    return opening;
  }
}

async function open({ host, socket }: Way): Promise<QmpSession> {
  const worker = await host.worker();
  try {
    return await QmpSession.open({ worker, socket, name: `${socket} on ${host.name}` });
  } catch (cause) {
    throw whyNoSession({ socket, hostName: host.name }, cause);
  }
}
