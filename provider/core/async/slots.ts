/** So many at a time; who comes later waits, in order. */
export class Slots {
  #taken = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #atOnce: number;

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** Whether nobody is at work. */
  get isFree(): boolean {
    return this.#taken === 0;
  }

  async one<T>(work: () => Promise<T>): Promise<T> {
    if (this.#taken < this.#atOnce) this.#taken++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve)); // takes the place of who wakes it
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#taken--;
    }
  }
}
