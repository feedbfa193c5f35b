/** The fence of a run: as long as it is at work, its host's worker is one and the same, or there is none. */

import type { Worker } from "./worker/worker.js";

/** Of one host: what runs hold locks there, and by which worker. */
export class OneWorker {
  #underWay = 0;
  #one: Promise<Worker> | undefined;
  readonly #open: () => Promise<Worker>;

  /** @param open the worker to use where no run is at work */
  constructor(open: () => Promise<Worker>) {
    this.#open = open;
  }

  /**
   * The one of the runs that are at work; without any, one that runs.
   * @throws the reason why it has ended, as long as such a run is at work: another one holds none of the run's locks
   */
  async now(): Promise<Worker> {
    if (this.#one === undefined) return this.#open();
    const worker = await this.#one;
    if (worker.ended) throw worker.ended;
    return worker;
  }

  /** Does `work`, of which several may be under way, on one worker, which does not end for being idle meanwhile. */
  async during<T>(work: (worker: Worker) => Promise<T>): Promise<T> {
    const mine = {};
    this.#underWay++;
    this.#one ??= this.#open();
    try {
      const worker = await this.#one;
      worker.held.add(mine);
      try {
        return await work(worker);
      } finally {
        worker.held.delete(mine);
      }
    } finally {
      this.#underWay--;
      if (this.#underWay === 0) this.#one = undefined;
    }
  }
}
