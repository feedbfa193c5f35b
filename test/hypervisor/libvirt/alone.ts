/** A run in a process of its own that something strikes in its middle. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import path from "node:path";
import type { Properties } from "../../../provider/core/lifecycle.js";
import { until } from "../../sandbox/command.js";
import { watchOver } from "../../sandbox/processes.js";

export interface Struck {
  /** Arguments of a StorageMigration. */
  news: Properties;
  /** @default "create" */
  verb?: "create" | "delete";
  /** Whether the run is where it is to be struck; `lines` is all that it has said. */
  isThere(lines: string): Promise<boolean>;
  strike(run: ChildProcess): Promise<void>;
  /** What must be mended before the run can come to its end; by default nothing. */
  mend?(): Promise<void>;
}

/** @returns all that the run has said, once it has ended */
export async function struck({ news, verb = "create", isThere, strike, mend }: Struck): Promise<string> {
  const file = path.join(__dirname, "run-alone.js");
  const run = watchOver(spawn(process.execPath, [file, verb, JSON.stringify(news)], { stdio: ["ignore", "pipe", "inherit"] }), "a run");
  const ended = once(run, "exit");
  let lines = "";
  run.stdout?.on("data", (piece: Buffer) => {
    lines += piece.toString();
  });
  const there = async () => {
    assert.equal(run.exitCode, null, `It ended before it was struck: ${lines}`);
    return (await isThere(lines)) ? true : undefined;
  };
  await until(90, there, () => `The run did not come so far: ${lines}`);
  await strike(run);
  await mend?.();
  await ended;
  return lines;
}

/** The names of the manifests in a folder. */
export async function manifestsIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith(".manifest.json"));
}
