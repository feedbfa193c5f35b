/** One guest's monitor: its session is opened when it is needed, and shared by all who ask about that guest. */

import type { z } from "zod";
import type { QmpSession } from "./client.js";
import { channelAt } from "./monitors.js";
import { done } from "./replies.js";
import type { Channel, Way } from "./sessions.js";

export class Monitor {
  #channel: Channel | undefined;
  #reaching: Promise<Channel> | undefined;
  #heardAtLastLook = -1;
  readonly #way: Way;

  constructor(way: Way) {
    this.#way = way;
  }

  /** Whether there is a session, or one is being opened. */
  get isOpen(): boolean {
    return this.#channel?.isOpen ?? false;
  }

  /** Gives it back to others. */
  close(): void {
    this.#channel?.close();
  }

  /** @throws QmpRefusal if QEMU refuses */
  ask<S extends z.ZodType>(command: string, shape: S, args: object = {}): Promise<z.output<S>> {
    return this.use((session) => session.call(command, shape, args));
  }

  /** @throws QmpRefusal if QEMU refuses */
  async do(command: string, args: object): Promise<void> {
    await this.ask(command, done, args);
  }

  /** Opens the session, and waits for so long for another client to be done. @throws MonitorBusy if it is not, or `stop` fires */
  async awaitTurn(seconds: number, stop: AbortSignal): Promise<void> {
    await (await this.reach()).use(this.#way, async () => {}, { greetingSeconds: seconds, stop });
  }

  async use<T>(work: (session: QmpSession) => Promise<T>): Promise<T> {
    return (await this.reach()).use(this.#way, work);
  }

  /** Asked again when the session is over: another QEMU may listen here by now. */
  async reach(): Promise<Channel> {
    if (this.#channel?.isOpen) return this.#channel;
    this.#reaching ??= channelAt(this.#way).finally(() => {
      this.#reaching = undefined;
    });
    this.#channel = await this.#reaching;
    return this.#channel;
  }

  /** For a look: what the monitor says from here on is what {@link wakeUp} wakes up for. */
  async listen(): Promise<Channel> {
    const channel = await this.reach();
    this.#heardAtLastLook = channel.heard;
    return channel;
  }

  /** Resolves when the monitor has said something since the last look, or the time is over. */
  async wakeUp(timeoutSeconds: number): Promise<void> {
    const channel = await this.reach();
    if (channel.heard === this.#heardAtLastLook) await channel.use(this.#way, (session) => this.#nextWord(session, timeoutSeconds));
    this.#heardAtLastLook = channel.heard;
  }

  async #nextWord(session: QmpSession, timeoutSeconds: number): Promise<void> {
    const heard = new AbortController();
    const ignore = session.listen(() => heard.abort());
    await this.#way.host.world.sleep(timeoutSeconds, heard.signal);
    ignore();
  }
}
