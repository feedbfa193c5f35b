import assert from "node:assert/strict";
import { access, readdir } from "node:fs/promises";
import { mirroredSnapshot } from "../../provider/resources/mirrored-snapshot/lifecycle.js";
import { chainOf } from "../sandbox/check.js";
import { Recorder, Stage } from "../storage-migration/stage.js";
import { copyLayers, endSnapshot, inStage, makeSnapshot, precreate, snapshotArguments, statesOf } from "./scene.js";

describe("a mirrored snapshot", function () {
  this.timeout(180_000);

  for (const copyMode of ["background", "write-blocking"]) {
    it(`pivots onto the user's copies without losing a write, copy mode ${copyMode}`, async () => {
      await using stage = await Stage.open();
      await precreate(stage);
      const teller = new Recorder();
      const { outputs } = await makeSnapshot(snapshotArguments(stage, { reuseExternal: true, copyMode }), teller);
      assert.equal(statesOf(outputs).vda?.state, "ready");
      assert.equal(statesOf(outputs).vda?.current, stage.at("path1/old.migrate"));
      assert.match(teller.said.join("\n"), /warning: From now on a boot of .* must use .*path1\/old\.migrate for vda/);
      await stage.guest.waitForRecords(30);
      await copyLayers(stage);
      await stage.guest.waitForRecords(30);
      await endSnapshot(outputs, "pivot", teller);
      await stage.guest.waitForRecords(30);
      assert.equal(await stage.operator.activeImage("vda"), stage.at("path2/new.qcow2"));
      assert.deepEqual(
        (await stage.guest.openFiles()).filter((file) => file.includes("/path1/")),
        [],
      );
      await stage.guest.stop();
      const chain = await chainOf(stage.at("path2/new.qcow2"));
      assert.deepEqual(inStage(stage, chain), ["path2/new.qcow2", "path2/old.qcow2", "path2/common.qcow2"]);
      assert.equal(chain[0]?.backingName, "old.qcow2");
      await stage.holdsAll(stage.at("path2/new.qcow2"));
      assert.deepEqual((await readdir(stage.at("path2"))).sort(), ["common.qcow2", "new.qcow2", "old.qcow2"]);
      assert.match((await readdir(stage.at("path1"))).sort().join(), /^common.qcow2,old.migrate.lm-[^,]*,old.qcow2$/);
    });
  }

  it("makes both files, and an abort leaves the guest on the overlay alone", async () => {
    await using stage = await Stage.open();
    const { id, outputs } = await makeSnapshot(snapshotArguments(stage));
    await stage.guest.waitForRecords(20);
    const read = await mirroredSnapshot.read(id, outputs, new Recorder());
    assert(typeof read === "object");
    assert.equal(statesOf(read.outputs).vda?.state, "ready");
    await endSnapshot(outputs, "abort");
    await stage.guest.waitForRecords(20);
    assert.equal(await stage.operator.activeImage("vda"), stage.at("path1/old.migrate"));
    assert.deepEqual(await readdir(stage.at("path2")), []);
    assert.deepEqual((await readdir(stage.at("path1"))).sort(), ["common.qcow2", "old.migrate", "old.qcow2"]);
    await access(stage.at("path1/old.migrate"));
    await stage.guest.stop();
    assert.equal((await chainOf(stage.at("path1/old.migrate")))[0]?.backingName, "old.qcow2");
    await stage.holdsAll(stage.at("path1/old.migrate"));
  });
});
