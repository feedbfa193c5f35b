/** The engine's events, which a CLI writes to a file, one JSON value in a line. */

import { closeSync, existsSync, openSync, readSync, rmSync } from "node:fs";
import type { Properties } from "../../provider/core/lifecycle.js";
import { changeOf } from "./display.js";
import type { Change } from "./engine.js";
import { nameOf } from "./goal.js";
import { compare } from "./values.js";

export interface CliEvents {
  changes: Change[];
  refreshed: Change[];
}

interface StepMetadata {
  op: string;
  urn: string;
  old: { inputs: Properties } | null;
  new: { inputs: Properties } | null;
  /** Of a refresh: the properties that the provider calls different; without any, absent. */
  diffs?: string[];
}

/** Those events, and their fields, that are read here. */
interface EngineEvent {
  resourcePreEvent?: { metadata: StepMetadata };
  resOutputsEvent?: { metadata: StepMetadata };
  diagnosticEvent?: { urn?: string; message: string; ephemeral?: boolean };
}

const pollMs = 50;

/** Reads the log while it grows; ephemeral lines, which a CLI without a terminal hides, go to `show`. */
export function followEvents(file: string, show: (line: string) => void): { finish(): Promise<CliEvents> } {
  rmSync(file, { force: true }); // a log of an earlier operation would be read until the CLI truncates it
  const events: EngineEvent[] = [];
  const log = new GrowingFile(file);
  const take = () => {
    for (const line of log.newLines()) {
      const event: EngineEvent = JSON.parse(line);
      events.push(event);
      const diagnostic = event.diagnosticEvent;
      if (diagnostic?.ephemeral) show(`  ${nameOf(diagnostic.urn ?? "")}: ${diagnostic.message.trimEnd()}`);
    }
  };
  const timer = setInterval(take, pollMs);
  return {
    async finish() {
      clearInterval(timer);
      take();
      return changesIn(events);
    },
  };
}

function changesIn(events: readonly EngineEvent[]): CliEvents {
  const steps = events.map((event) => event.resourcePreEvent?.metadata).filter((step) => step !== undefined);
  const results = events.map((event) => event.resOutputsEvent?.metadata).filter((step) => step !== undefined);
  const refreshing = new Set(steps.filter(({ op }) => op === "refresh").map(({ urn }) => urn));
  return {
    changes: steps.map(changeIn).filter((change) => change !== undefined),
    // A resource's first result after its refresh began is the refresh's.
    refreshed: [...refreshing].flatMap((urn) => refreshedIn(results.find((step) => step.urn === urn))),
  };
}

const operations: Record<string, Change["op"]> = {
  create: "create",
  update: "update",
  delete: "delete",
  replace: "replace",
  same: "same",
  read: "read",
};

function changeIn(step: StepMetadata): Change | undefined {
  const op = operations[step.op];
  return op === undefined ? undefined : changeOf(step.urn, op, op === "update" || op === "replace" ? differencesIn(step) : []);
}

function refreshedIn(step: StepMetadata | undefined): Change[] {
  if (step === undefined) return [];
  if (step.new === null || step.op === "delete") return [changeOf(step.urn, "delete", [])];
  const { diffs = [] } = step;
  // what an older version did not write down yet is no difference to the engine, though both inputs are not alike
  const differences = differencesIn(step).filter(({ path }) => diffs.some((diff) => rootOf(diff) === rootOf(path)));
  return [changeOf(step.urn, differences.length > 0 ? "update" : "same", differences)];
}

/** `host` of `host.address`, `moves` of `moves["vda"]`. */
function rootOf(path: string): string {
  return path.split(/[.[]/, 1)[0] ?? path;
}

function differencesIn(step: StepMetadata) {
  return compare(step.old?.inputs ?? {}, step.new?.inputs ?? {});
}

/** A file that somebody else appends lines to. */
class GrowingFile {
  #offset = 0;
  #rest = "";

  constructor(readonly path: string) {}

  newLines(): string[] {
    if (!existsSync(this.path)) return [];
    const lines = (this.#rest + this.#read()).split("\n");
    this.#rest = lines.pop() ?? "";
    return lines.filter((line) => line !== "");
  }

  #read(): string {
    const file = openSync(this.path, "r");
    const buffer = Buffer.alloc(1 << 20);
    let text = "";
    for (let count = 1; count > 0; ) {
      count = readSync(file, buffer, 0, buffer.length, this.#offset);
      this.#offset += count;
      text += buffer.toString("utf8", 0, count);
    }
    closeSync(file);
    return text;
  }
}
