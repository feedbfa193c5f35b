/** Somebody moves the disk behind Pulumi's back: plain QMP on the guest's second monitor, and a few commands. */

import { copyFile, rm } from "node:fs/promises";
import { run } from "../sandbox/command.js";
import { Operator } from "../sandbox/operator.js";
import { look } from "./reality.js";
import type { Stage } from "./stage.js";

/** The lower layer copied, the active one mirrored, its old file taken away: the chain lies at `storage` then. */
export async function moveByHand(stage: Stage, storage: string): Promise<void> {
  const { active, chain } = await look(stage);
  const target = stage.at(storage, "old.qcow2");
  await copyFile(chain[1] ?? "", stage.at(storage, "common.qcow2"));
  await run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "common.qcow2", "-F", "qcow2", target]);
  await using operator = await Operator.connect(stage.guest.operatorSocket);
  const node = `by-hand-${storage}`;
  const former = await rootNode(operator);
  const file = { driver: "file", filename: target, discard: "unmap" };
  await operator.execute("blockdev-add", { "node-name": node, driver: "qcow2", discard: "unmap", file });
  const endings = { "auto-finalize": false, "auto-dismiss": false };
  await operator.execute("blockdev-mirror", { "job-id": "by-hand", device: former, target: node, sync: "top", ...endings });
  await operator.waitForJob("by-hand", "ready");
  await operator.execute("job-complete", { id: "by-hand" });
  await operator.waitForJob("by-hand", "pending");
  await operator.execute("job-finalize", { id: "by-hand" });
  await operator.waitForJob("by-hand", "concluded");
  await operator.execute("job-dismiss", { id: "by-hand" });
  await rm(active);
}

async function rootNode(operator: Operator): Promise<string> {
  const blocks = (await operator.execute("query-block")) as { qdev?: string; inserted?: { "node-name": string } }[];
  const node = blocks.find(({ inserted }) => inserted !== undefined)?.inserted?.["node-name"];
  if (node === undefined) throw new Error(`The guest has no image: ${JSON.stringify(blocks)}`);
  return node;
}
