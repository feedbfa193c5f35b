/** What is on the host and in the guest, seen by other roads than the provider's: the guest's second monitor, qemu-img, the file system. */

import assert from "node:assert/strict";
import { readdir, readlink, stat } from "node:fs/promises";
import path from "node:path";
import { chainOf, checkImage } from "../sandbox/check.js";
import { until } from "../sandbox/command.js";
import { Operator } from "../sandbox/operator.js";
import type { Stage } from "./stage.js";

/** All of it that a move may change. */
export interface Reality {
  /** The file that takes the guest's writes, by its own path, and which file that is. */
  active: string;
  inode: number;
  /** The paths by the headers on disk, the active image first. */
  chain: string[];
  /** How each header names the layer below. */
  backingNames: (string | undefined)[];
  /** Nodes that somebody named, and all jobs. */
  nodes: string[];
  jobs: string[];
  /** Files in all storages and beside the link: which file each is, not what it holds. */
  files: Record<string, number | string>;
}

export async function look(stage: Stage): Promise<Reality> {
  await using operator = await Operator.connect(stage.guest.operatorSocket);
  const named = await operator.activeImage("vda");
  const chain = await chainOf(named);
  const active = await realName(named);
  const nodes = (await operator.execute("query-named-block-nodes", { flat: true })) as { "node-name": string }[];
  const jobs = (await operator.execute("query-jobs")) as { id: string }[];
  return {
    active,
    inode: (await stat(active)).ino,
    chain: await Promise.all(chain.map((layer) => realName(layer.path))),
    backingNames: chain.map((layer) => layer.backingName),
    nodes: nodes.map((node) => node["node-name"]).filter((name) => !name.startsWith("#")),
    jobs: jobs.map(({ id }) => id),
    files: await filesOf(stage),
  };
}

async function realName(named: string): Promise<string> {
  return path.join(await resolved(path.dirname(named)), path.basename(named));
}

function resolved(folder: string): Promise<string> {
  return readlink(folder).catch(() => folder);
}

async function filesOf(stage: Stage): Promise<Record<string, number | string>> {
  const home = path.dirname(stage.at("path1"));
  const found: Record<string, number | string> = {};
  for (const entry of await readdir(home, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    if (entry.isFile()) found[path.relative(home, file)] = (await stat(file)).ino;
    if (entry.isSymbolicLink()) found[path.relative(home, file)] = await readlink(file);
  }
  return found;
}

/** The guest writes on, without anything having been done for it. */
export async function assertWritesOn(stage: Stage): Promise<void> {
  await stage.guest.waitForRecords(5, 15);
}

/** The disk runs at a storage: same name, as many layers, relative names, and no trace of a move but what a finished one leaves at `former`. */
export async function assertSettledAt(stage: Stage, storage: string, former: readonly string[]): Promise<void> {
  await stage.guest.waitForRecords(5);
  const seen = await look(stage);
  assert.deepEqual(seen.chain, [stage.at(storage, "old.qcow2"), stage.at(storage, "common.qcow2")]);
  assert.deepEqual(seen.backingNames, ["common.qcow2", undefined]);
  assert.deepEqual(seen.jobs, []);
  if (stage.link !== undefined) assert.equal(await readlink(stage.link), stage.at(storage));
  await assertLeft(stage, former);
}

/** The storages hold, besides the guest's chain, only the quarantined image and the lower layer at each of `former`; no process of ours lives on. */
export async function assertLeft(stage: Stage, former: readonly string[]): Promise<void> {
  const allowed = former.flatMap((storage) => [`file ${stage.at(storage, "common.qcow2")}`, `file ${stage.at(storage, "old.qcow2.lm-…")}`]);
  let left: string[] = [];
  // a session of the sshd may take a moment longer than the run that it served
  const settled = async () => {
    left = (await stage.sandbox.leftovers()).map((line) => line.replace(/\.lm-[0-9a-f]{8}-\d{8}T\d{6}Z$/, ".lm-…"));
    return JSON.stringify(left) === JSON.stringify(allowed.toSorted()) ? true : undefined;
  };
  await until(60, settled, () => "").catch(() => assert.deepEqual(left, allowed.toSorted()));
  assert.deepEqual(
    Object.keys((await look(stage)).files).filter((name) => name.startsWith("disks.")),
    [],
  );
}

/** Nothing that the guest called safe is missing, and nothing else has changed. Ends the guest first. */
export async function assertNothingLost(stage: Stage, image: string, ending: "stop" | "kill" = "stop"): Promise<number> {
  await stage.guest[ending]();
  const { acknowledged, lost, corrupt } = await checkImage(image, stage.guest.disk());
  assert.deepEqual({ lost, corrupt }, { lost: [], corrupt: [] });
  return acknowledged;
}
