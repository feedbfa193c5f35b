/** `restartDuringMove: "from-manifest"`: a guest that is lost after the freeze comes back from `current`, with all that it was told is safe. */

import assert from "node:assert/strict";
import { readdir, readFile, symlink } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { chainOf } from "../sandbox/check.js";
import { rawImage } from "../sandbox/disks.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { cutAt } from "./cut.js";
import { onOwnStage, onStage, type Stage, stopAt } from "./stage.js";

describe("a guest that is killed between the freeze and the end of a move by an overlay", function () {
  this.timeout(180_000);
  let proxy: QmpProxy;
  const stage = onOwnStage({}, async (begun: Stage) => {
    proxy = await QmpProxy.listen(begun.at("proxy.sock"), begun.guest.qmpSocket);
    begun.sandbox.defer(() => proxy.close());
  });
  const settings = () => ({ strategy: "snapshot", restartDuringMove: "from-manifest", domain: { qmp: proxy.path } });

  /** What the manifest in a directory says, as somebody who must start the guest reads it. */
  async function currentIn(directory: string): Promise<string> {
    const name = (await readdir(stage().at(directory))).find((file) => file.endsWith(".manifest.json"));
    assert(name, `there is a manifest in ${directory}`);
    const { current }: { current: string } = JSON.parse(await readFile(stage().at(directory, name), "utf8"));
    return current;
  }

  async function killedAndBootedFrom(image: string): Promise<void> {
    await stage().guest.waitForRecords(10);
    await stage().operator.close();
    await stage().guest.kill();
    await stage().holdsAll(image);
    await stage().guest.boot({ vda: image });
    await stage().guest.waitForRecords(10);
  }

  async function cutInCopy(): Promise<string> {
    await assert.rejects(stopAt("copying", stage(), { ...settings(), maxBytesPerSecond: 16_000_000 }), (thrown) => {
      assert(thrown instanceof Unfinished);
      assert.match(thrown.message, /[Rr]un `pulumi up` again.* current: vda at .*path1\/lm-[0-9a-f]{8}\.overlay\.qcow2/);
      return true;
    });
    return currentIn("path1");
  }

  async function cutInMirror(): Promise<string> {
    await cutAt("job-complete", proxy, () => stage().moves(settings()));
    return currentIn("path1");
  }

  async function cutAfterSwitch(): Promise<string> {
    await cutAt("block-commit", proxy, () => stage().moves(settings()));
    const current = await currentIn("path1");
    assert.equal(await currentIn("path2"), current);
    return current;
  }

  it("while the frozen files are copied boots from the overlay at the source", async () => {
    const current = await cutInCopy();
    assert.match(current, /path1\/lm-[0-9a-f]{8}\.overlay\.qcow2$/);
    await killedAndBootedFrom(current);
  });

  it("while the overlay is mirrored boots from the overlay at the source", async () => {
    const current = await cutInMirror();
    assert.match(current, /path1\/lm-[0-9a-f]{8}\.overlay\.qcow2$/);
    await killedAndBootedFrom(current);
  });

  it("after the switch boots from the overlay at the destination", async () => {
    const current = await cutAfterSwitch();
    assert.match(current, /path2\/lm-[0-9a-f]{8}\.overlay\.qcow2$/);
    await killedAndBootedFrom(current);
  });

  it("in the copy, in the mirror and after the switch, one after the other, ends with the next up on the same names", async () => {
    for (const cut of [cutInCopy, cutInMirror, cutAfterSwitch]) await killedAndBootedFrom(await cut());
    const { vda } = await stage().moves(settings());
    assert.equal(vda?.phase, "settled");
    assert.equal(vda.bootPath, stage().at("path2", "old.qcow2"));
    assert.deepEqual(
      (await chainOf(vda.bootPath)).map(({ path }) => path),
      [stage().at("path2", "old.qcow2"), stage().at("path2", "common.qcow2")],
    );
    assert.deepEqual((await readdir(stage().at("path2"))).sort(), ["common.qcow2", "old.qcow2"]);
    await killedAndBootedFrom(vda.bootPath);
  });

  it("but booted from the frozen image is left alone, in a sentence that names the image that it must be started from", async () => {
    await assert.rejects(stopAt("copying", stage(), { ...settings(), maxBytesPerSecond: 8_000_000 }), Unfinished);
    await stage().guest.waitForRecords(10);
    const current = await currentIn("path1");
    await stage().guest.kill();
    await stage().guest.boot({ vda: stage().at("path1", "old.qcow2") });
    await assert.rejects(stage().moves(settings()), (thrown) => {
      assert(thrown instanceof Error);
      assert.match(
        thrown.message,
        /the guest runs on .*path1\/old\.qcow2, which was frozen; what it wrote since then is in .*overlay\.qcow2/,
      );
      assert(thrown.message.includes(`Stop the guest and start it from ${current}`), thrown.message);
      return true;
    });
  });
});

describe("a guest whose raw image is frozen under an overlay", function () {
  this.timeout(180_000);
  const stage = onStage({ disks: (at) => [{ storage: at("path1"), layers: rawImage() }] });

  it("and that was started from the overlay as if that were raw too is left alone, in a sentence that names the format", async () => {
    const settings = { strategy: "snapshot", restartDuringMove: "from-manifest" };
    await assert.rejects(stopAt("copying", stage(), { ...settings, maxBytesPerSecond: 16 << 20 }), Unfinished);
    const overlay = await stage().operator.activeImage("vda");
    await stage().operator.close();
    await stage().guest.kill();
    const alias = stage().at("path1", "alias.raw");
    await symlink(overlay, alias);
    await stage().boot({ vda: alias });
    await assert.rejects(stage().moves(settings), (thrown) => {
      assert(thrown instanceof Error);
      assert.match(
        thrown.message,
        /the guest has .*alias\.raw open as raw, which is a qcow2 image.*Stop the guest and start it from there as qcow2/,
      );
      return true;
    });
  });
});
