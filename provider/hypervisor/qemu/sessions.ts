/** One QMP session a socket, shared by everybody who asks about that guest: a monitor serves one client. */

import type { Duplex } from "node:stream";
import type { Host } from "../../host/host.js";
import { type Patience, QmpSession } from "./client.js";
import { whyNoGreeting, whyNoStream } from "./no-stream.js";

/** Long enough that reads of one guest which follow each other share a session, short enough that others get the monitor. */
const idleSeconds = 1;

const channels = new WeakMap<Host, Map<string, Channel>>();

/** The one channel to this socket. */
export function channelTo(host: Host, socket: string): Channel {
  const ofHost = channels.get(host) ?? new Map<string, Channel>();
  channels.set(host, ofHost);
  const channel = ofHost.get(socket) ?? new Channel(host, socket);
  ofHost.set(socket, channel);
  return channel;
}

/** The way to one monitor: opened on demand, closed when nobody has used it for a while, opened anew after it broke. */
export class Channel {
  #session: Promise<QmpSession> | undefined;
  #users = 0;
  #idle: NodeJS.Timeout | undefined;
  #whenFree: "keep a while" | "close" = "keep a while";
  #heard = 0;

  constructor(
    readonly host: Host,
    readonly socket: string,
    private readonly patience: Patience = {},
  ) {}

  /** For messages. */
  get monitor(): string {
    return `${this.socket} on ${this.host.name}`;
  }

  /**
   * Does `work` on the session, which stays open as long.
   * @throws GuestNotRunning if there is no such guest
   * @throws UnreachableError if the monitor is busy with another client, or does not answer
   */
  async use<T>(work: (session: QmpSession) => Promise<T>): Promise<T> {
    clearTimeout(this.#idle);
    this.#users++;
    try {
      this.#session ??= this.#connect();
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

  #connect(): Promise<QmpSession> {
    const opening = this.#greet();
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

  async #greet(): Promise<QmpSession> {
    let stream: Duplex;
    try {
      stream = await this.host.connectSocket(this.socket);
    } catch (cause) {
      throw await whyNoStream(this.host, this.socket, cause);
    }
    try {
      return await QmpSession.open(stream, this.monitor, this.patience);
    } catch (cause) {
      throw await whyNoGreeting(this.host, this.socket, cause);
    }
  }
}
