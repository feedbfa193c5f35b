/** A switch that was cut while its job was pending, and whose destination is full by now: the guest's I/O waits for the next run. */

import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { run } from "../sandbox/command.js";
import { oneLayer } from "../sandbox/disks.js";
import { mountSmall } from "../sandbox/file-systems.js";
import { Recorder, Stage, stopAt } from "./stage.js";

describe("a pending switch that nobody wrote down, with a destination that is full by now", function () {
  this.timeout(180_000);

  it("is called off by the next run, and the guest writes on", async () => {
    await using stage = await Stage.open({ disks: (at) => [{ storage: at("path1"), virtualMiB: 128, layers: oneLayer("a.qcow2") }] });
    await mountSmall(stage.sandbox, stage.at("path2"), { kind: "ext4", sizeMiB: 300 });
    await rm(stage.at("path2", "lost+found"), { recursive: true, force: true });
    const stopped: unknown = await stopAt("mirroring", stage, { maxBytesPerSecond: 16 * 1024 * 1024 }).catch((reason: unknown) => reason);
    assert(stopped instanceof Unfinished, String(stopped));
    for (const { id } of (await stage.operator.execute("query-jobs")) as { id: string }[]) {
      await stage.operator.execute("block-job-set-speed", { device: id, speed: 0 });
      await stage.operator.waitForJob(id, "ready");
      await stage.operator.execute("job-complete", { id });
      await stage.operator.waitForJob(id, "pending");
    }
    await fill(stage.at("path2", "fill"));
    await storageMigration.delete("id", stopped.outputs, new Recorder()).catch(() => {}); // what cannot be removed there is not the point
    await stage.guest.waitForRecords(5);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path1", "a.qcow2"));
  });
});

/** To the last block. */
async function fill(file: string): Promise<void> {
  for (const block of ["64k", "1k"]) await run("dd", ["if=/dev/zero", `of=${file}-${block}`, `bs=${block}`]).catch(() => {});
  await assert.rejects(writeFile(`${file}-rest`, Buffer.alloc(8192)));
}
