/** Who listens to what monitors say by themselves. */

import type { LaterLine } from "./replies.js";

/** What a monitor says by itself. */
export type MonitorMessage = Extract<LaterLine, { monitor: number }>;

type Listener = (message: MonitorMessage) => void;

export class MonitorListeners {
  readonly #listeners = new Map<number, Listener>();
  /** What was said that nobody listens to yet. */
  readonly #unheard = new Map<number, MonitorMessage[]>();
  readonly #fail: (cause: unknown) => void;

  /** @param fail is told what a listener throws */
  constructor(fail: (cause: unknown) => void) {
    this.#fail = fail;
  }

  /** What this monitor says from now on, and what it has said since it was opened. */
  add(monitor: number, listener: Listener): void {
    this.#listeners.set(monitor, listener);
    for (const message of this.#unheard.get(monitor) ?? []) this.#tellOne(listener, message);
    this.#unheard.delete(monitor);
  }

  remove(monitor: number): void {
    this.#listeners.set(monitor, () => {});
  }

  tell(message: MonitorMessage): void {
    const listener = this.#listeners.get(message.monitor);
    if (listener) this.#tellOne(listener, message);
    else this.#unheard.set(message.monitor, [...(this.#unheard.get(message.monitor) ?? []), message]);
    if ("closed" in message) this.#listeners.delete(message.monitor);
  }

  #tellOne(listener: Listener, message: MonitorMessage): void {
    try {
      listener(message);
    } catch (cause) {
      this.#fail(cause);
    }
  }
}
