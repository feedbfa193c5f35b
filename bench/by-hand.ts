/** The proposal's five steps as a script does them by hand, with a monitor, qemu-img and cp. Only for a guest without anything to lose. */

import path from "node:path";
import { run } from "../test/sandbox/command.js";
import type { Operator } from "../test/sandbox/operator.js";

export interface ByHand {
  operator: Operator;
  /** Paths, the active image first. */
  chain: readonly string[];
  destination: string;
  virtualBytes: number;
  /** The node of the active image. */
  active: string;
  /** Goes into every node's name. */
  number: number;
}

export async function fiveSteps({ operator, chain, destination, virtualBytes, active, number }: ByHand): Promise<{ active: string }> {
  const name = (what: string) => `hand-${number}-${what}`;
  const [top = ""] = chain;
  const overlay = path.join(path.dirname(top), `old-${number}.migrate`);
  const target = path.join(destination, `new-${number}.qcow2`);
  // 1. two files whose headers name the active image relatively
  for (const file of [overlay, target])
    await run("qemu-img", ["create", "-q", "-u", "-f", "qcow2", "-b", path.basename(top), "-F", "qcow2", file, String(virtualBytes)]);
  const node = (what: string, file: string, backing: string | null) => ({
    ...{ driver: "qcow2", "node-name": name(what), discard: "unmap", backing },
    file: { driver: "file", filename: file, discard: "unmap" },
  });
  // 2. the snapshot with its mirror
  await operator.execute("blockdev-add", node("overlay", overlay, null));
  await operator.execute("blockdev-snapshot", { node: active, overlay: name("overlay") });
  const targetNode = { ...node("target", target, active), file: name("target-file") };
  await operator.execute("blockdev-add", { driver: "file", "node-name": name("target-file"), filename: target, discard: "unmap" });
  await operator.execute("blockdev-add", targetNode);
  await operator.execute("blockdev-mirror", { "job-id": name("mirror"), device: name("overlay"), target: name("target"), sync: "top" });
  // 3. the copy, while the guest writes
  for (const file of chain) {
    const copy = path.join(destination, path.basename(file));
    await run("cp", ["--sparse=always", file, copy], { timeoutSeconds: 600 });
    await run("sync", [copy]);
  }
  // 4. the pivot, onto the copied chain
  await operator.waitForJob(name("mirror"), "ready", 600);
  let below: string | null = null;
  for (const [index, file] of [...chain.entries()].reverse()) {
    await operator.execute("blockdev-add", {
      ...node(`copy-${index}`, path.join(destination, path.basename(file)), below),
      "read-only": true,
    });
    below = name(`copy-${index}`);
  }
  await operator.execute("blockdev-reopen", { options: [{ ...targetNode, backing: below }] });
  await operator.execute("job-complete", { id: name("mirror") });
  await gone(operator, name("mirror"));
  // 5. blockpull --base: what was the active image is taken up
  const [, base = ""] = chain.map((file) => path.basename(file)); // else QEMU writes a description of its nodes into the header
  const pull = { "job-id": name("pull"), device: name("target"), "base-node": name("copy-1"), "backing-file": base };
  await operator.execute("block-stream", pull);
  await gone(operator, name("pull"));
  return { active: name("target") };
}

async function gone(operator: Operator, id: string): Promise<void> {
  for (;;) {
    const jobs = (await operator.execute("query-jobs")) as { id: string; error?: string }[];
    const job = jobs.find((each) => each.id === id);
    if (job === undefined) return;
    if (job.error !== undefined) throw new Error(`The job ${id} failed: ${job.error}`);
    await new Promise((wake) => setTimeout(wake, 25));
  }
}
