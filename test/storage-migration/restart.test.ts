/** `restartDuringMove: "from-manifest"`: a guest that is lost after the freeze comes back from `current`, with all that it was told is safe. */

import assert from "node:assert/strict";
import { mkdir, readdir, readFile, symlink } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { chainOf } from "../sandbox/check.js";
import { rawImage } from "../sandbox/disks.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { onStage, stopAt } from "./stage.js";

describe("a guest that is killed between the freeze and the end of a move by an overlay", function () {
  this.timeout(180_000);
  const stage = onStage();
  let proxy: QmpProxy;
  before(async () => {
    await mkdir(stage().at("path3"));
    proxy = await QmpProxy.listen(stage().at("proxy.sock"), stage().guest.qmpSocket);
  });
  after(() => proxy.close());
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

  /** A run that loses its monitor right before QEMU would see the command. */
  async function cutAt(command: string): Promise<void> {
    proxy.before(command, () => "cut");
    await assert.rejects(stage().moves(settings()), Unfinished, command);
  }

  it("while the frozen files are copied boots from the overlay at the source", async () => {
    await assert.rejects(stopAt("copying", stage(), { ...settings(), maxBytesPerSecond: 16_000_000 }), (thrown) => {
      assert(thrown instanceof Unfinished);
      assert.match(thrown.message, /[Rr]un `pulumi up` again.* current: vda at .*path1\/lm-[0-9a-f]{8}\.overlay\.qcow2/);
      return true;
    });
    const current = await currentIn("path1");
    assert.match(current, /path1\/lm-[0-9a-f]{8}\.overlay\.qcow2$/);
    await killedAndBootedFrom(current);
  });

  it("while the overlay is mirrored boots from the overlay at the source", async () => {
    await cutAt("job-complete");
    const current = await currentIn("path1");
    assert.match(current, /path1\/lm-[0-9a-f]{8}\.overlay\.qcow2$/);
    await killedAndBootedFrom(current);
  });

  it("after the switch boots from the overlay at the destination", async () => {
    await cutAt("block-commit");
    const current = await currentIn("path1");
    assert.equal(await currentIn("path2"), current);
    assert.match(current, /path2\/lm-[0-9a-f]{8}\.overlay\.qcow2$/);
    await killedAndBootedFrom(current);
  });

  it("and the next up ends the move, on the same names", async () => {
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
    await assert.rejects(
      stopAt("copying", stage(), { ...settings(), destination: stage().at("path3"), maxBytesPerSecond: 8_000_000 }),
      Unfinished,
    );
    await stage().guest.waitForRecords(10);
    const current = await currentIn("path2");
    await stage().guest.kill();
    await stage().guest.boot({ vda: stage().at("path2", "old.qcow2") });
    await assert.rejects(stage().moves({ ...settings(), destination: stage().at("path3") }), (thrown) => {
      assert(thrown instanceof Error);
      assert.match(
        thrown.message,
        /the guest runs on .*path2\/old\.qcow2, which was frozen; what it wrote since then is in .*overlay\.qcow2/,
      );
      assert(thrown.message.includes(`Stop the guest and start it from ${current}`), thrown.message);
      return true;
    });
  });
});

describe("a guest whose raw image is frozen under an overlay", function () {
  this.timeout(120_000);
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
