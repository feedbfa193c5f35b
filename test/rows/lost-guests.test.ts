/** A guest that is lost in a move by an overlay, and started again: from where every write is, or from somewhere else. */

import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { endSnapshot, makeSnapshot, refused, snapshotArguments } from "../mirrored-snapshot/scene.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { cutAt } from "../storage-migration/cut.js";
import { onStage, Recorder, stopAt } from "../storage-migration/stage.js";

const byOverlay = { strategy: "snapshot", restartDuringMove: "from-manifest" };

describe("a guest that was killed in a move with strategy snapshot", function () {
  this.timeout(180_000);
  const stage = onStage();

  it("and started from the frozen copy at the destination is left as it is, in a sentence that names the image with every write", async () => {
    await using proxy = await QmpProxy.listen(stage().at("proxy.sock"), stage().guest.qmpSocket);
    const moves = { ...byOverlay, domain: { qmp: proxy.path } };
    await cutAt("block-commit", proxy, () => stage().moves(moves));
    await stage().guest.waitForRecords(10);
    const current = await stage().operator.activeImage("vda");
    await stage().operator.close();
    await stage().guest.kill();
    await stage().boot({ vda: stage().at("path2", "old.qcow2") });
    await assert.rejects(stage().moves(moves), (thrown) => {
      assert(thrown instanceof Error);
      assert.match(thrown.message, /the guest runs on .*path2\/old\.qcow2, but no switch to that is recorded/);
      assert(thrown.message.includes(`Stop the guest and start it from ${current}`), thrown.message);
      return true;
    });
    await stage().operator.close();
    await stage().guest.kill();
    await stage().boot({ vda: current });
    await stage().moves(moves);
  });
});

describe("a guest that was killed in a move with strategy snapshot and started from the overlay", function () {
  this.timeout(180_000);
  const stage = onStage();

  it("is brought back to its former image by destroy, also if the next run was cut before its switch", async () => {
    await using proxy = await QmpProxy.listen(stage().at("proxy.sock"), stage().guest.qmpSocket);
    const moves = { ...byOverlay, domain: { qmp: proxy.path } };
    await assert.rejects(stopAt("copying", stage(), { ...moves, maxBytesPerSecond: 16 << 20 }), Unfinished);
    const overlay = await stage().operator.activeImage("vda");
    await stage().operator.close();
    await stage().guest.kill();
    await stage().boot({ vda: overlay });
    const cut = await cutAt("job-complete", proxy, () => stage().moves(moves));
    await storageMigration.delete("id", cut.outputs, new Recorder());
    assert.equal(await stage().operator.activeImage("vda"), stage().at("path1", "old.qcow2"));
    assert.deepEqual(await readdir(stage().at("path2")), []);
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path1", "old.qcow2"));
  });
});

describe("a mirrored snapshot whose pivot was written down beside the mirror only, before QEMU was killed", function () {
  this.timeout(180_000);
  const stage = onStage();

  it("has the guest's image as `current` in both manifests after the next run", async () => {
    const { outputs } = await makeSnapshot(snapshotArguments(stage()));
    await stage().guest.waitForRecords(10);
    await stage().operator.close();
    await stage().guest.kill();
    const [file, mirror] = [stage().at("path1", "old.migrate"), stage().at("path2", "new.qcow2")];
    const [name] = (await readdir(stage().at("path2"))).filter((each) => each.endsWith(".manifest.json"));
    assert(name, "there is a manifest beside the mirror");
    const current = async (place: string) => JSON.parse(await readFile(stage().at(place, name), "utf8")).current;
    const half = JSON.parse(await readFile(stage().at("path2", name), "utf8"));
    await writeFile(stage().at("path2", name), JSON.stringify({ ...half, current: mirror }));
    await stage().boot({ vda: file });
    const { message } = await refused(endSnapshot(outputs, "pivot"));
    assert.match(message, /its mirror is lost/);
    assert.deepEqual([await current("path1"), await current("path2")], [file, file]);
    await endSnapshot(outputs, "abort");
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(file);
  });
});
