/** A guest on a stage, the proposal's files, and a MirroredSnapshot's lifecycle driven without an engine. */

import assert from "node:assert/strict";
import path from "node:path";
import { isOurs } from "../../provider/core/errors.js";
import { type Properties, type Run, Unfinished } from "../../provider/core/lifecycle.js";
import { mirroredSnapshot } from "../../provider/resources/mirrored-snapshot/lifecycle.js";
import type { SnapshotReport } from "../../provider/resources/mirrored-snapshot/resource.js";
import { run } from "../sandbox/command.js";
import { Recorder, type Stage } from "../storage-migration/stage.js";

/** Arguments of a snapshot of the stage's disks, `vda` unless named. */
export function snapshotArguments(stage: Stage, different: Properties = {}, ids: readonly string[] = ["vda"]): Properties {
  const disks = ids.map((disk) => ({
    disk,
    file: stage.at("path1", `${prefix(disk)}old.migrate`),
    mirror: stage.at("path2", `${prefix(disk)}new.qcow2`),
  }));
  return { host: stage.sandbox.host, domain: { qmp: stage.guest.qmpSocket }, disks, ...different };
}

/** The first disk's images have no prefix (sandbox/disks.ts). */
export function prefix(disk: string): string {
  return disk === "vda" ? "" : `${disk}-`;
}

/** Step 1 of the proposal: two files that name old.qcow2 relatively, which need not be there for the second. */
export async function precreate(stage: Stage, disk = "vda"): Promise<void> {
  for (const file of [stage.at("path1", `${prefix(disk)}old.migrate`), stage.at("path2", `${prefix(disk)}new.qcow2`)]) {
    const size = String(stage.guest.disk(disk).virtualBytes);
    await run("qemu-img", ["create", "-q", "-u", "-f", "qcow2", "-b", `${prefix(disk)}old.qcow2`, "-F", "qcow2", file, size]);
  }
}

/** Step 3 of the proposal, the user's own. */
export async function copyLayers(stage: Stage, disk = "vda"): Promise<void> {
  for (const layer of ["common.qcow2", "old.qcow2"]) {
    await run("cp", ["--sparse=always", stage.at("path1", prefix(disk) + layer), stage.at("path2", prefix(disk) + layer)]);
  }
}

/** Without opening what lies below, which the guest has open. */
export function writeInto(path: string, offset = "1M"): Promise<string> {
  const alone = { driver: "qcow2", backing: null, file: { driver: "file", filename: path } };
  return run("qemu-io", ["-c", `write -q -P 7 ${offset} 64k`, `json:${JSON.stringify(alone)}`]);
}

/** A whole check and create. */
export async function makeSnapshot(news: Properties, conductor: Run = new Recorder()): Promise<{ id: string; outputs: Properties }> {
  const { inputs, failures } = mirroredSnapshot.check({}, news);
  assert.deepEqual(failures, []);
  return mirroredSnapshot.create(inputs, conductor);
}

export async function endSnapshot(outputs: Properties, onDelete: "pivot" | "abort", conductor: Run = new Recorder()): Promise<void> {
  await mirroredSnapshot.delete("id", { ...outputs, onDelete }, conductor);
}

export function statesOf(outputs: Properties): Record<string, SnapshotReport> {
  return outputs.states as Record<string, SnapshotReport>;
}

/** What was thrown instead of an answer; one of our sentences. */
export async function refused(answer: Promise<unknown>): Promise<Error> {
  const thrown: unknown = await answer.then(
    (value) => assert.fail(`It was not refused: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  const error = thrown instanceof Unfinished ? thrown.cause : thrown;
  assert(isOurs(error), `no error of ours: ${error instanceof Error ? error.stack : error}`);
  if (process.env.SHOW_MESSAGES) console.log(`        > ${error.message}`);
  return thrown as Error;
}

/** Paths of a chain relative to the stage, top first. */
export function inStage(stage: Stage, chain: readonly { path: string }[]): string[] {
  return chain.map((layer) => path.relative(stage.folder, layer.path));
}
