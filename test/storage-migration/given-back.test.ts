/** A disk that was taken from its guest in the middle of a move, and given back. */

import assert from "node:assert/strict";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { oneLayer } from "../sandbox/disks.js";
import { onStage, Recorder } from "./stage.js";

describe("a disk that was unplugged in its mirror and given back by another node", function () {
  this.timeout(180_000);
  const stage = onStage({
    disks: (at) => [
      { storage: at("path1"), bus: "virtio-scsi", virtualMiB: 128, layers: oneLayer("a.qcow2") },
      { storage: at("path1"), id: "vdb", bus: "virtio-scsi", virtualMiB: 128, layers: oneLayer("b.qcow2") },
    ],
  });

  it("is at the source, and the next run moves it", async () => {
    const { operator } = stage();
    const drives = (await operator.execute("query-block")) as { qdev: string; inserted: { "node-name": string } }[];
    const former = drives.find(({ qdev }) => qdev.includes("vda"))?.inserted["node-name"];
    const run = new Recorder();
    let taken: Promise<unknown> | undefined;
    run.progress = (text) => {
      if (text.startsWith("vda mirroring")) taken ??= operator.execute("device_del", { id: "vda" });
    };
    const stopped: unknown = await stage()
      .moves({ maxBytesPerSecond: 4 * 1024 * 1024 }, run)
      .catch((reason: unknown) => reason);
    assert(stopped instanceof Unfinished, String(stopped));
    await taken;
    await operator.execute("blockdev-del", { "node-name": former });
    const file = { driver: "file", filename: stage().at("path1", "a.qcow2") };
    await operator.execute("blockdev-add", { driver: "qcow2", "node-name": "again", file });
    await operator.execute("device_add", { driver: "scsi-hd", id: "vda", drive: "again" });
    const moves = await stage().moves();
    assert.equal(moves.vda?.phase, "settled");
    assert.equal(await operator.activeImage("vda"), stage().at("path2", "a.qcow2"));
    await storageMigration.delete("id", { ...stage().arguments, moves }, new Recorder());
  });
});
