/** A pull whose end the active image's own header does not tell, be it that it could not be written, be it that the guest was started without it. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { run } from "../sandbox/command.js";
import { oneLayer, rawImage } from "../sandbox/disks.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { onStage } from "./stage.js";

const headerBytes = 65536;

describe("a guest that runs without a layer which its image still names", function () {
  this.timeout(180_000);
  const stage = onStage();
  let proxy: QmpProxy;
  before(async () => {
    proxy = await QmpProxy.listen(stage().at("proxy.sock"), stage().guest.qmpSocket);
  });
  after(() => proxy.close());

  it("is left alone, with that layer, in a sentence that says how to start it; started so, its move ends", async () => {
    const pulling = { strategy: "snapshot", collapse: "pull", restartDuringMove: "from-manifest", domain: { qmp: proxy.path } };
    proxy.before("block-stream", () => "cut");
    await assert.rejects(stage().moves(pulling), Unfinished);
    const image = stage().at("path2/old.qcow2");
    const needed = (await readdir(stage().at("path2"))).find((name) => /^lm-[0-9a-f]{8}\.old\.qcow2$/.test(name));
    assert(needed, "there is a copied image to be pulled");

    await stage().guest.kill();
    const header = await headerOf(image);
    await run("qemu-img", ["rebase", "-u", "-F", "qcow2", "-b", "common.qcow2", image]);
    await stage().guest.boot({ vda: image });
    await putHeader(image, header);
    await assert.rejects(stage().moves(pulling), (thrown) => {
      assert(thrown instanceof Error);
      assert.match(
        thrown.message,
        /the guest runs without .*\.old\.qcow2, which .*path2\/old\.qcow2 still names in its header\. Stop the guest/,
      );
      return true;
    });
    assert(existsSync(stage().at("path2", needed)), "the layer is still there");

    await stage().guest.kill();
    await stage().guest.boot({ vda: image });
    assert.equal((await stage().moves(pulling)).vda?.phase, "settled");
    assert.deepEqual((await readdir(stage().at("path2"))).sort(), ["common.qcow2", "old.qcow2"]);
  });
});

async function headerOf(image: string): Promise<Buffer> {
  await using file = await open(image);
  return (await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0)).buffer;
}

async function putHeader(image: string, header: Buffer): Promise<void> {
  await using file = await open(image, "r+");
  await file.write(header, 0, headerBytes, 0);
}

describe("a qcow2 on a raw base", function () {
  this.timeout(180_000);
  const stage = onStage({ disks: (at) => [{ storage: at("path1"), layers: [...rawImage("base.raw"), ...oneLayer()] }] });

  it("takes up its overlay with collapse pull: only the active image has to be a qcow2 for that", async () => {
    const { vda } = await stage().moves({ strategy: "snapshot", collapse: "pull", restartDuringMove: "from-manifest" });
    assert.deepEqual(
      vda?.chain.map(({ path, format }) => [path, format]),
      [
        [stage().at("path2", "disk.qcow2"), "qcow2"],
        [stage().at("path2", "base.raw"), "raw"],
      ],
    );
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "disk.qcow2"));
  });
});
