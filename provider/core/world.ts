/** What a run reaches outside its own data and its hosts: time, chance, and what there is once in a process. */

/** A time of the calendar, as a Date is one. */
export interface Moment {
  toISOString(): string;
}

/**
 * Everything that has a host or a run gets its world from there. So two of them can be at work in one process and know nothing of each
 * other, as two machines, and a test sets the clock by hand (decisions/0013).
 */
export interface World {
  /** Seconds since a moment of this world's: they never jump. For everything that waits or measures. */
  clock(): number;

  /** What the calendar says: for names and for people, and never for a wait. */
  now(): Moment;

  /**
   * Ends after the time, or at once when `stop` fires: that only shortens the wait, and the caller looks at the signal itself. After 0 s
   * everything that was ready has gone first.
   */
  sleep(seconds: number, stop?: AbortSignal): Promise<void>;

  /** Does `work` once after the time; does not keep the process alive. @returns calls it off */
  after(seconds: number, work: () => void): () => void;

  /** A token of so many random bytes, in hexadecimal digits. */
  token(bytes: number): string;

  /**
   * The one instance of a class in this world, made when it is first asked for: queues, owners, caches, and what is real by default and
   * another thing in a simulation, as the hosts (a simulated world has a subclass of them).
   */
  one<T extends object>(Kind: new () => T): T;
}

/** The instances of a world. */
export class Instances {
  readonly #known = new Map<new () => object, object>();

  one<T extends object>(Kind: new () => T): T {
    const known = this.#known.get(Kind) ?? new Kind();
    this.#known.set(Kind, known);
    return known as T; // stored under its own class, or as its subclass
  }

  /** From now on a subclass stands for the class. */
  put<T extends object>(Kind: new () => T, instance: T): void {
    this.#known.set(Kind, instance);
  }
}
