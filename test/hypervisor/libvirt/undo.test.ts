import assert from "node:assert/strict";
import { readdir, stat } from "node:fs/promises";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { Recorder } from "../../storage-migration/stage.js";
import { LibvirtStage } from "./stage.js";
import { stoppedAt } from "./stopped.js";

describe("a move through libvirt that is given up", function () {
  this.timeout(240_000);
  let stage: LibvirtStage;
  beforeEach(async () => {
    stage = await LibvirtStage.open();
  });
  afterEach(() => stage?.[Symbol.asyncDispose]());

  /** Slow enough to be met in the middle. */
  const slow = { maxBytesPerSecond: 8 << 20 };

  for (const word of ["copying", "mirroring"]) {
    it(`is undone from ${word}: the source's exact chain, and nothing of ours`, async () => {
      const before = await picture(stage);
      const outputs = await stoppedAt(word, stage, { ...slow, copyMode: "write-blocking" });
      assert.equal((await readdir(stage.at("path1"))).filter((name) => name.endsWith(".manifest.json")).length, 1);
      await storageMigration.delete("id", outputs, new Recorder());
      assert.deepEqual(await picture(stage), before);
      const old = stage.at("path1/old.qcow2");
      assert.deepEqual(await stage.places(), { live: old, inactive: old });
      await stage.guest.waitForRecords(5);
    });
  }

  it("goes on from copying and from mirroring at the next up", async () => {
    const copied = await stoppedAt("copying", stage, slow);
    const mirrored = await stoppedAt("mirroring", stage, slow, copied);
    const inputs = storageMigration.check({}, stage.arguments).inputs;
    const { outputs } = await storageMigration.update("id", mirrored, inputs, new Recorder());
    const old = stage.at("path2/old.qcow2");
    assert.deepEqual(await stage.places(), { live: old, inactive: old });
    assert.deepEqual((await readdir(stage.at("path2"))).sort(), ["common.qcow2", "old.qcow2"]);
    await storageMigration.delete("id", { ...inputs, ...outputs }, new Recorder());
    await stage.survivesRestart(old);
  });
});

/** Names, owners and inodes at the source; names at the destination. */
async function picture(stage: LibvirtStage) {
  const names = (await readdir(stage.at("path1"))).sort();
  const stats = await Promise.all(names.map((name) => stat(stage.at("path1", name))));
  return {
    source: names.map((name, index) => [name, stats[index]?.ino, stats[index]?.uid]),
    destination: await readdir(stage.at("path2")),
  };
}
