/** A {@link Run} of tests. A file of its own: who needs no guest loads none. */

import type { Run } from "../../provider/core/lifecycle.js";
import type { World } from "../../provider/core/world.js";
import { thisWorld } from "../world.js";

/** A run that remembers what it was told. */
export class Recorder implements Run {
  readonly lines: string[] = [];
  readonly said: string[] = [];
  readonly #stopper = new AbortController();
  readonly stop: AbortSignal = this.#stopper.signal;
  readonly credentials: Run["credentials"];

  constructor(
    readonly urn = "",
    credentials: Run["credentials"] = {},
    readonly world: World = thisWorld,
  ) {
    this.credentials = credentials;
  }

  progress(text: string): void {
    this.lines.push(text);
  }

  say(severity: "info" | "warning", text: string): void {
    this.said.push(`${severity}: ${text}`);
  }

  ask(): void {
    this.#stopper.abort();
  }
}
