/** Worlds of tests: the real one of this process, and one whose clock is set by hand. */

import type { Credentials } from "../provider/core/credentials.js";
import { Instances, type World } from "../provider/core/world.js";
import { type ConnectOptions, connectHost as connect } from "../provider/host/connection.js";
import type { Host } from "../provider/host/host.js";
import type { HostArgs } from "../provider/host/target.js";
import { realWorld } from "../provider/pulumi/real-world.js";

/** One for all tests of a process, as a provider process has it. */
export const thisWorld: World = realWorld();

/** A host of {@link thisWorld}. */
export function connectHost(args: HostArgs, credentials: Credentials, options: Omit<ConnectOptions, "world"> = {}): Promise<Host> {
  return connect(args, credentials, { world: thisWorld, ...options });
}

interface Due {
  at: number;
  act: () => void;
}

/** A world in which no time passes by itself, and every token is the next number. */
export class HandWorld implements World {
  readonly #instances = new Instances();
  readonly #due = new Set<Due>();
  #seconds = 0;
  #tokens = 0;

  clock(): number {
    return this.#seconds;
  }

  now(): Date {
    return new Date(Date.UTC(2030, 0, 1) + 1000 * this.#seconds);
  }

  async sleep(seconds: number, stop?: AbortSignal): Promise<void> {
    if (seconds === 0) return settled();
    if (stop?.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const callOff = this.after(seconds, resolve);
    stop?.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    callOff();
  }

  after(seconds: number, act: () => void): () => void {
    const due = { at: this.#seconds + seconds, act };
    this.#due.add(due);
    return () => this.#due.delete(due);
  }

  token(bytes: number): string {
    return (this.#tokens++).toString(16).padStart(2 * bytes, "0");
  }

  one<T extends object>(Kind: new () => T): T {
    return this.#instances.one(Kind);
  }

  put<T extends object>(Kind: new () => T, instance: T): void {
    this.#instances.put(Kind, instance);
  }

  /** How many wait for the clock. */
  get waiting(): number {
    return this.#due.size;
  }

  /** Lets so much time pass: what is due happens in its order, each at its own time. */
  async pass(seconds: number): Promise<void> {
    const end = this.#seconds + seconds;
    await settled();
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#due.delete(next);
      this.#seconds = Math.max(this.#seconds, next.at);
      next.act();
      await settled();
    }
    this.#seconds = end;
  }

  #next(end: number): Due | undefined {
    const [first] = [...this.#due].filter(({ at }) => at <= end).sort((one, other) => one.at - other.at);
    return first;
  }
}

/** A world in which who sleeps wakes up at once, and the time has passed: for loops that ask real parts in between. */
export class SwiftWorld extends HandWorld {
  override async sleep(seconds: number, stop?: AbortSignal): Promise<void> {
    if (!stop?.aborted) await this.pass(seconds);
  }
}

/** Everything that is ready has gone. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
