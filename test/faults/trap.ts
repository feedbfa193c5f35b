/** The gate of a guest that is broken: records what comes by, or springs at one point. */

import type { Gate, Passing, Verdict } from "../sandbox/gate.js";
import { commandName, type Moment } from "./points.js";

export interface Bait {
  /** Absent: any. */
  command?: string;
  occurrence: number;
  moment: Moment;
  /** Makes the fault. `lost`: the command or its answer goes with it; `cut`: the same, with the monitor's connection. */
  strike(command: Passing): Promise<"goes on" | "lost" | "cut">;
}

export class Trap implements Gate {
  /** Since it was last set or started: what came by. */
  readonly passed: Passing[] = [];
  #bait: Bait | undefined;
  #left = 0;
  #state: "idle" | "set" | "sprung" = "idle";
  /** While the fault is being made: what comes by now comes after it, on whichever road. */
  #striking: Promise<Verdict> | undefined;

  get state(): "idle" | "set" | "sprung" {
    return this.#state;
  }

  set(bait: Bait): void {
    this.passed.length = 0;
    this.#bait = bait;
    this.#left = bait.occurrence;
    this.#state = "set";
  }

  /** Forgets the bait, and what came by. */
  clear(): void {
    this.passed.length = 0;
    this.#state = "idle";
  }

  async before(command: Passing): Promise<Verdict> {
    this.passed.push(command);
    if (this.#striking) return this.#striking;
    if (this.#state !== "set" || !this.#bait || !isBait(this.#bait, command) || --this.#left > 0) return "forward";
    this.#state = "sprung";
    if (this.#bait.moment === "after") return "withhold";
    const { strike } = this.#bait;
    this.#striking = strike(command).then((fate) => (fate === "goes on" ? "forward" : fate === "lost" ? "drop" : "cut"));
    try {
      return await this.#striking;
    } finally {
      this.#striking = undefined;
    }
  }

  async answered(command: Passing): Promise<"release" | "drop"> {
    return (await this.#bait?.strike(command)) === "goes on" ? "release" : "drop";
  }
}

function isBait({ command: wanted }: Bait, command: Passing): boolean {
  return wanted === undefined || wanted === commandName(command);
}
