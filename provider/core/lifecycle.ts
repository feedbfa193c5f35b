/** What a resource does in the provider process, without a word of the engine's protocol. pulumi/ calls it; `dynamic.ts` joins the two. */

import type { Credentials } from "./credentials.js";
import type { World } from "./world.js";

/** Property bags as the engine knows them: JSON values only. */
export type Properties = Record<string, unknown>;

/** What a lifecycle is given besides its properties. */
export interface Run {
  /** One short line about where long work stands, shown on the resource's own line; the latest wins, at most two a second are shown. */
  progress(text: string): void;
  /** A line that stays: on the resource, in the log. `debug`: only where the user asks for such lines (`pulumi up --debug`). */
  say(severity: "debug" | "info" | "warning", text: string): void;
  /** Time, chance, and what there is once in a process. */
  world: World;
  /** Fires when the engine is gone or asks us to end: start no further step (a begun switch is finished). */
  stop: AbortSignal;
  /** From the stack's secret config or the explicit Provider; never in a resource's properties. */
  credentials: Credentials;
  /**
   * How many moves of one host run side by side.
   * @default 2
   */
  movesPerHost?: number;
  /** Names the resource in messages and owns its disks in this process. Empty where the program did not send it. */
  urn: string;
}

export interface CheckFailure {
  property: string;
  reason: string;
}

export interface Difference {
  /** `undefined`: the inputs differ, let the engine say which. `true`: only the state shows unfinished work. */
  changes: boolean | undefined;
  replaces: string[];
}

/** Thrown by create and update that stopped half-way: the next `up` goes on from here. */
export class Unfinished extends Error {
  constructor(
    readonly id: string,
    /** All inputs and the outputs as far as they are known. */
    readonly outputs: Properties,
    reason: Error,
  ) {
    super(reason.message, { cause: reason });
    this.name = "Unfinished";
  }
}

/** The resource does not exist any more: the host itself said so. */
export const gone = Symbol("gone");

export interface Lifecycle {
  /** Does no I/O on hosts; bears unknowns (`pulumi.runtime.unknownValue` at any depth). Writes every deterministic default into the inputs. */
  check(olds: Properties, news: Properties): { inputs: Properties; failures: CheckFailure[] };
  /** Does no I/O on hosts; bears unknowns, `{}` and older schemas. `olds` are the outputs in state. */
  diff(id: string, olds: Properties, news: Properties, run: Run): Difference;
  /** @throws Unfinished when something was begun */
  create(inputs: Properties, run: Run): Promise<{ id: string; outputs: Properties }>;
  /** `inputs`: all of them, the drifted ones replaced by what is. */
  read(id: string, outputs: Properties, run: Run): Promise<{ id: string; outputs: Properties; inputs: Properties } | typeof gone>;
  /** @throws Unfinished when it stopped half-way */
  update(id: string, olds: Properties, news: Properties, run: Run): Promise<{ outputs: Properties }>;
  delete(id: string, outputs: Properties, run: Run): Promise<void>;
}
