import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { mirroredSnapshot } from "../../provider/resources/mirrored-snapshot/lifecycle.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { Recorder, Stage } from "../storage-migration/stage.js";
import { copyLayers, endSnapshot, makeSnapshot, precreate, refused, snapshotArguments, statesOf, writeInto } from "./scene.js";

describe("a mirrored snapshot whose QEMU was killed", function () {
  this.timeout(180_000);

  /** Dies as in a power cut, and starts again from the path that the outputs name. */
  async function restarted(stage: Stage, current: string | undefined): Promise<void> {
    await stage.guest.waitForRecords(20);
    await stage.guest.kill();
    await stage.guest.boot({ vda: current ?? "" });
    await stage.guest.waitForRecords(20);
  }

  it("is lost: a pivot is refused, an up mirrors again onto an emptied file, and then it pivots", async () => {
    await using stage = await Stage.open();
    await precreate(stage);
    const news = snapshotArguments(stage, { reuseExternal: true });
    const { id, outputs } = await makeSnapshot(news);
    await restarted(stage, statesOf(outputs).vda?.current);

    const read = await mirroredSnapshot.read(id, outputs, new Recorder());
    assert(typeof read === "object");
    assert.equal(statesOf(read.outputs).vda?.state, "lost");
    assert.equal(statesOf(read.outputs).vda?.current, stage.at("path1/old.migrate"));
    assert.deepEqual(mirroredSnapshot.diff(id, read.outputs, read.inputs, new Recorder()), { changes: true, replaces: [] });

    await copyLayers(stage);
    await writeInto(stage.at("path2/new.qcow2"), "700M"); // as what the mirror held and the overlay has lost with its QEMU
    const { message } = await refused(endSnapshot(read.outputs, "pivot"));
    assert.match(message, /its mirror is lost: QEMU was started again since.*current: .*old\.migrate.*Run `pulumi up`/);

    const { outputs: again } = await mirroredSnapshot.update(id, read.outputs, read.inputs, new Recorder());
    assert.equal(statesOf(again).vda?.state, "ready");
    await stage.guest.waitForRecords(20);
    await endSnapshot(again, "pivot");
    await stage.guest.waitForRecords(20);
    assert.deepEqual(
      (await stage.guest.openFiles()).filter((file) => file.includes("/path1/")),
      [],
    );
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2/new.qcow2"));
  });

  it("can be aborted, and the guest stays on the overlay", async () => {
    await using stage = await Stage.open({ style: "drive" });
    const { outputs } = await makeSnapshot(snapshotArguments(stage));
    await restarted(stage, statesOf(outputs).vda?.current);
    await endSnapshot(outputs, "abort");
    assert.deepEqual(await readdir(stage.at("path2")), []);
    assert.deepEqual((await readdir(stage.at("path1"))).sort(), ["common.qcow2", "old.migrate", "old.qcow2"]);
    await stage.guest.waitForRecords(20);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path1/old.migrate"));
  });

  it("in the pivot, once that is written down, is on the mirror, and tidied by the next run", async () => {
    await using stage = await Stage.open();
    await using proxy = await QmpProxy.listen(stage.at("proxy.sock"), stage.guest.qmpSocket);
    const { outputs } = await makeSnapshot(snapshotArguments(stage, { domain: { qmp: proxy.path } }));
    await stage.guest.waitForRecords(20);
    await copyLayers(stage);
    proxy.before("job-finalize", async () => {
      await stage.guest.kill();
      return "cut" as const;
    });
    await assert.rejects(endSnapshot(outputs, "pivot"));
    await stage.guest.boot({ vda: stage.at("path2/new.qcow2") });
    await endSnapshot(outputs, "pivot");
    assert.deepEqual((await readdir(stage.at("path2"))).sort(), ["common.qcow2", "new.qcow2", "old.qcow2"]);
    assert.match((await readdir(stage.at("path1"))).sort().join(), /^common.qcow2,old.migrate.lm-[^,]*,old.qcow2$/);
    await stage.guest.waitForRecords(20);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2/new.qcow2"));
  });

  it("stops in words if the guest was started from the stale image", async () => {
    await using stage = await Stage.open();
    const news = snapshotArguments(stage);
    const { id, outputs } = await makeSnapshot(news);
    await stage.guest.waitForRecords(20);
    await stage.guest.stop();
    await stage.guest.boot();
    const { message } = await refused(mirroredSnapshot.update(id, outputs, mirroredSnapshot.check({}, news).inputs, new Recorder()));
    assert.match(
      message,
      /the guest runs on .*old\.qcow2, but the snapshot's overlay .*old\.migrate holds writes.*Stop the guest and start it from/,
    );
  });

  it("is not ended while the guest is stopped, and that is said in words", async () => {
    await using stage = await Stage.open();
    const { id, outputs } = await makeSnapshot(snapshotArguments(stage));
    await stage.guest.stop();
    const teller = new Recorder();
    const read = await mirroredSnapshot.read(id, outputs, teller);
    assert(typeof read === "object");
    assert.equal(read.outputs.running, false);
    assert.match(teller.said.join(), /What is shown is what was last seen/);
    const { message } = await refused(endSnapshot(outputs, "abort"));
    assert.match(message, /its guest does not run, .*Nothing was touched; current: .*old\.migrate\. Start the guest from there/);
  });
});
