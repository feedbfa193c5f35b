import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import type { Properties } from "../../provider/core/lifecycle.js";
import { mirroredSnapshot } from "../../provider/resources/mirrored-snapshot/lifecycle.js";
import { run, until } from "../sandbox/command.js";
import { Recorder, Stage } from "../storage-migration/stage.js";
import { copyLayers, endSnapshot, makeSnapshot, refused, snapshotArguments, statesOf } from "./scene.js";

describe("a mirrored snapshot whose mirror's storage is full", function () {
  this.timeout(180_000);

  async function openSmall(): Promise<Stage> {
    const stage = await Stage.open();
    await run("mount", ["-t", "tmpfs", "-o", "size=4M", "tmpfs", stage.at("path2")]);
    stage.sandbox.defer(() => run("umount", ["--lazy", stage.at("path2")]));
    return stage;
  }

  async function fill(stage: Stage, id: string, outputs: Properties): Promise<void> {
    const stalled = async () => {
      const read = await mirroredSnapshot.read(id, outputs, new Recorder());
      assert(typeof read === "object");
      return statesOf(read.outputs).vda?.state === "stalled" || undefined;
    };
    await until(60, stalled, () => "The mirror did not fill its storage.");
    await stage.guest.waitForRecords(20);
  }

  it("can be aborted, and the guest stays on the overlay", async () => {
    await using stage = await openSmall();
    const { id, outputs } = await makeSnapshot(snapshotArguments(stage));
    await fill(stage, id, outputs);
    await endSnapshot(outputs, "abort");
    assert.deepEqual(await readdir(stage.at("path2")), []);
    await stage.guest.waitForRecords(20);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path1/old.migrate"));
  });

  it("leaves the guest writing, says so, goes on when there is room again, and then pivots", async () => {
    await using stage = await openSmall();
    const path2 = stage.at("path2");
    const news = snapshotArguments(stage);
    const { id, outputs } = await makeSnapshot(news);
    const { inputs } = mirroredSnapshot.check({}, news);

    await fill(stage, id, outputs);
    const update = () => mirroredSnapshot.update(id, { ...outputs, states: {} }, inputs, new Recorder());
    const { message } = await refused(update());
    assert.match(
      message,
      /path2 is full: .* are still to be written.* The job waits; the guest goes on writing to .*old\.migrate, which is current\. Then run/,
    );

    await run("mount", ["-o", "remount,size=400M", path2]);
    const { outputs: again } = await update();
    assert.equal(statesOf(again).vda?.state, "ready");
    await copyLayers(stage);
    await endSnapshot(again, "pivot");
    await stage.guest.waitForRecords(20);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2/new.qcow2"));
  });
});
