/** The workers of one connection: one for each key, opened when it is needed, and again after it has ended. */

import type { Worker } from "./worker.js";

export class Workers<K> {
  readonly #opening = new Map<K, Promise<Worker>>();
  readonly #open = new Set<Worker>();

  /** The one of this key, or the one that `open` opens. */
  async of(key: K, open: () => Promise<Worker>): Promise<Worker> {
    const standing = this.#opening.get(key) ?? this.#begin(key, open);
    const worker = await standing;
    if (worker.ended === undefined) return worker;
    if (this.#opening.get(key) === standing) this.#opening.delete(key);
    return this.of(key, open);
  }

  /** Whether none of them has anything to do, or holds anything. */
  get areIdle(): boolean {
    return [...this.#open].every((worker) => worker.isIdle);
  }

  #begin(key: K, open: () => Promise<Worker>): Promise<Worker> {
    const opening = open();
    this.#opening.set(key, opening);
    const forget = () => {
      if (this.#opening.get(key) === opening) this.#opening.delete(key);
    };
    opening.then((worker) => {
      this.#open.add(worker);
      worker.onEnd(() => {
        this.#open.delete(worker);
        forget();
      });
    }, forget);
    return opening;
  }
}
