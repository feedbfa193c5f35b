/** What must hold after a broken move, whatever broke it. */

import assert from "node:assert/strict";
import { readlink } from "node:fs/promises";
import path from "node:path";
import { look, type Reality } from "../e2e/reality.js";
import type { OperationResult } from "../engine/engine.js";
import { checkImage } from "../sandbox/check.js";
import { until } from "../sandbox/command.js";
import { Operator } from "../sandbox/operator.js";
import type { Arena, Storage } from "./arena.js";
import type { Evidence } from "./evidence.js";
import { jobs, strayNodes } from "./nodes.js";
import type { Point } from "./points.js";

/** The provider lived, so it has answered, and in words: what happened, what is current, what to do. */
export async function assertError(arena: Arena, { output }: OperationResult): Promise<void> {
  assert.doesNotMatch(output, /UNAVAILABLE|CANCELLED|Connection dropped|ECONNREFUSED/, "a call was not answered");
  const said = output.split("\n").filter((line) => line.includes("error: "));
  assert.ok(said.length > 0, "no error was said");
  const error = said.join("\n");
  assert.match(error, /error: (Unable to |Stopped as asked|The connection to |Nothing has moved)/, "the error does not say what happened");
  assert.match(error, /[Rr]un `pulumi up`|[Rr]un again|Start the guest/, "the error does not say what to do");
  const begun = await arena.manifests();
  // who was asked to stop before it was connected has not looked at the host
  const isBlind = /Unable to connect to \S+: the run was stopped/.test(error);
  if (begun.length > 0 && !isBlind) assert.match(error, /current|\/path[12]\//, "the error does not say what is current");
}

/** The disk is at the destination, and nothing else is left of the move but the former image and the layers below it. */
export async function assertSettled(
  arena: Arena,
  { before, source, destination }: { before: Reality; source: Storage; destination: Storage },
): Promise<void> {
  const { stage, strategy } = arena;
  const at = (name: string) => stage.at(destination, name);
  const seen = await look(stage);
  const overlay = strategy === "none" && seen.chain.length === 3 ? [path.basename(seen.chain[0] ?? "")] : [];
  const names = [...overlay, "old.qcow2", "common.qcow2"];
  assert.deepEqual(seen.chain, names.map(at), "the chain is not at the destination");
  assert.deepEqual(seen.backingNames, [...names.slice(1), undefined], "backing names are not relative any more");
  if (strategy === "none") assert.equal(overlay.length, 1, "the overlay is gone");
  if (stage.link !== undefined)
    assert.equal(await readlink(stage.link), stage.at(destination), "the link does not lead to the destination");
  await assertQuiet(arena);
  const inode = before.files[path.join(source, "old.qcow2")];
  const files = await filesOf(arena);
  const away = Object.keys(files).find((name) => new RegExp(`^${source}/old\\.qcow2\\.lm-[0-9a-f]{8}-\\d{8}T\\d{6}Z$`).test(name));
  assert.equal(away && files[away], inode, "the former image is not in quarantine");
  const foreign = Object.keys(files).filter((name) => arena.foreign.includes(stage.at(name)));
  const wanted = [...foreign, ...names.map((name) => path.join(destination, name)), path.join(source, "common.qcow2"), away ?? ""];
  assert.deepEqual(Object.keys(files).sort(), wanted.sort(), "files are left over");
}

/** The source's exact chain, as if there had been no move. */
export async function assertUndone(arena: Arena, before: Reality, { fault, second }: Point): Promise<void> {
  const seen = await look(arena.stage);
  // a guest that was booted again has other nodes by now
  const isNew = [fault, second?.fault].includes("qemu-killed");
  const nodes = isNew ? {} : { nodes: seen.nodes.toSorted() };
  const { chain, inode, backingNames, files } = seen;
  const same = { chain: before.chain, inode: before.inode, backingNames: before.backingNames, files: before.files };
  assert.deepEqual(
    { chain, inode, backingNames, files, ...nodes },
    { ...same, ...(isNew ? {} : { nodes: before.nodes.toSorted() }) },
    "the move is not undone",
  );
  await assertQuiet(arena);
}

/** No job, no node without a device, no process of ours; the sshd's sessions may take a moment longer than their run. */
async function assertQuiet(arena: Arena): Promise<void> {
  const { stage } = arena;
  await using operator = await Operator.connect(stage.guest.operatorSocket);
  assert.deepEqual(await jobs(operator), [], "jobs are left over");
  assert.deepEqual(await strayNodes(operator), [], "nodes are left over");
  let left: string[] = [];
  const quiet = async () => {
    left = (await stage.sandbox.leftovers()).filter((line) => !line.startsWith("file "));
    left.push(...(await arena.otherPids()).map((pid) => `process ${pid} of another run`));
    return left.length === 0 ? true : undefined;
  };
  await until(60, quiet, () => "").catch(() => assert.deepEqual(left, [], "processes or mounts are left over"));
}

/** No file of others was removed or changed. */
export async function assertForeignUntouched({ foreign }: Arena, evidence: Evidence): Promise<void> {
  evidence.foreign = await foreign.touched();
  assert.deepEqual(evidence.foreign, [], "files of others were removed or changed");
}

/** Every acknowledged record is there, the last one too, and every other byte is unchanged; the guest is paused meanwhile. */
export async function assertWhole({ stage }: Arena, evidence: Evidence): Promise<void> {
  const { active } = await look(stage);
  await using operator = await Operator.connect(stage.guest.operatorSocket);
  await operator.execute("stop");
  try {
    const { lost, corrupt } = await checkImage(active, stage.guest.disk(), "paused");
    evidence.lost = lost.length;
    assert.deepEqual({ lost, corrupt }, { lost: [], corrupt: [] }, "the disk is not whole");
  } finally {
    await operator.execute("cont");
  }
}

/** In the two storages: which file each is. */
async function filesOf({ stage }: Arena): Promise<Record<string, number | string>> {
  const { files } = await look(stage);
  return Object.fromEntries(Object.entries(files).filter(([name]) => /^path[12]\//.test(name) || name.startsWith("disks.")));
}
