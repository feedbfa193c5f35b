/** What must not happen twice at once: one after the other under each key, first come first served. */

/** Each use has its own subclass, of which a world has one instance. */
export class KeyedMutex {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Whether somebody is at work under this key, or waits for it. */
  isTaken(key: string): boolean {
    return this.#last.has(key);
  }

  /** Does `work` when all that was begun before under this key is over, however it ended. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#last.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === mine) this.#last.delete(key);
    }
  }
}
