/** The gate of a guest that is broken: records what comes by, or springs at one point. */

import type { Gate, Passing, Verdict } from "../sandbox/gate.js";
import { commandName, type Moment } from "./points.js";

/** `lost`: the command or its answer goes with the fault; `cut`: the same, with the monitor's connection. */
export type Fate = "goes on" | "lost" | "cut";

export interface Bait {
  /** Absent: any. */
  command?: string;
  occurrence: number;
  moment: Moment;
  /** Makes the fault. */
  strike(): Promise<void>;
  /** What it does to a command that is under way: each road has its own end. */
  fate(command: Passing): Fate;
}

/** What happens besides, before the nth command of a run goes on, and to none of its commands. */
export interface Aside {
  nth: number;
  act(): Promise<void>;
}

export class Trap implements Gate {
  /** Since it was last set or started: what came by. */
  readonly passed: Passing[] = [];
  #bait: Bait | undefined;
  #aside: Aside | undefined;
  /** What it failed with. */
  #failure: { reason: unknown } | undefined;
  #left = 0;
  #state: "idle" | "set" | "sprung" = "idle";
  /** While the fault is being made: what comes by now comes after it, on whichever road. */
  #striking: Promise<void> | undefined;

  get state(): "idle" | "set" | "sprung" {
    return this.#state;
  }

  set(bait: Bait, aside?: Aside): void {
    this.clear();
    this.#bait = bait;
    this.#aside = aside;
    this.#left = bait.occurrence;
    this.#state = "set";
  }

  /** Breaks nothing. */
  setAside(aside: Aside): void {
    this.clear();
    this.#aside = aside;
  }

  /** What has not happened besides will not. @throws what it has failed with */
  endAside(): void {
    const failure = this.#failure;
    [this.#aside, this.#failure] = [undefined, undefined];
    if (failure) throw failure.reason;
  }

  /** Forgets the bait, and what came by. */
  clear(): void {
    this.passed.length = 0;
    [this.#aside, this.#failure] = [undefined, undefined];
    this.#state = "idle";
  }

  async before(command: Passing): Promise<Verdict> {
    this.passed.push(command);
    if (this.#aside && this.passed.length >= this.#aside.nth) await this.#actAside(this.#aside);
    if (this.#striking) {
      await this.#striking;
      return this.#verdictOn(command);
    }
    if (this.#state !== "set" || !this.#bait || !isBait(this.#bait, command) || --this.#left > 0) return "forward";
    this.#state = "sprung";
    if (this.#bait.moment === "after") return "withhold";
    this.#striking = this.#bait.strike();
    try {
      await this.#striking;
    } finally {
      this.#striking = undefined;
    }
    return this.#verdictOn(command);
  }

  #verdictOn(command: Passing): Verdict {
    const fate = this.#bait?.fate(command);
    if (fate === "lost") return "drop";
    return fate === "cut" ? "cut" : "forward";
  }

  async #actAside({ act }: Aside): Promise<void> {
    this.#aside = undefined;
    await act().catch((reason: unknown) => {
      this.#failure = { reason };
    });
  }

  async answered(command: Passing): Promise<"release" | "drop"> {
    await this.#bait?.strike();
    return this.#bait?.fate(command) === "goes on" ? "release" : "drop";
  }
}

function isBait({ command: wanted }: Bait, command: Passing): boolean {
  return wanted === undefined || wanted === commandName(command);
}
