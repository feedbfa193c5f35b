/** An overlay that somebody with a monitor of their own puts on a disk, as a backup does; and its end. */

import { run } from "./command.js";
import type { Operator } from "./operator.js";

/** The guest's writes go to `file` from here on. @returns the node on which it stands */
export async function putOverlay(operator: Operator, device: string, file: string, virtualBytes: number): Promise<string> {
  const below = await operator.activeNode(device);
  const [backing, node] = [await operator.activeImage(device), "theirs"];
  const options = ["-u", "-b", backing, "-F", "qcow2", "-f", "qcow2"];
  await run("qemu-img", ["create", "-q", ...options, file, String(virtualBytes)]);
  await operator.execute("blockdev-add", { driver: "qcow2", "node-name": node, backing: null, file: { driver: "file", filename: file } });
  await operator.execute("blockdev-snapshot", { node: below, overlay: node });
  return below;
}

/** Its content goes down into what it stands on, which takes the guest's writes again. */
export async function takeOverlay(operator: Operator, below: string): Promise<void> {
  await operator.execute("block-commit", {
    ...{ "job-id": "theirs-commit", device: "theirs", "base-node": below, "auto-dismiss": true },
  });
  await operator.waitForJob("theirs-commit", "ready");
  await operator.execute("job-complete", { id: "theirs-commit" });
  for (;;) {
    const jobs = (await operator.execute("query-jobs")) as { id: string }[];
    if (jobs.every(({ id }) => id !== "theirs-commit")) break;
  }
  await operator.execute("blockdev-del", { "node-name": "theirs" });
}
