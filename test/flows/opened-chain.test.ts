/** What QEMU is told to open below an image, and what it says that it has open then. */

import assert from "node:assert/strict";
import type { ChainFiles, LayerFile } from "../../provider/core/disk/chain-options.js";
import { isKind } from "../../provider/core/errors.js";
import { belowTop, checkOpened } from "../../provider/flows/shared/opened-chain.js";
import { forgetBackingFormat } from "../sandbox/headers.js";
import { makeQcow2 } from "./model-guest.js";
import { MoveScene } from "./move/scene.js";

describe("a chain that is opened", () => {
  let scene: MoveScene;
  let chain: ChainFiles;
  beforeEach(async () => {
    scene = await MoveScene.open();
    makeQcow2(scene.at("path2/top"), { name: "base.raw", format: "raw" });
    await scene.write("path2/base.raw");
    chain = [
      { path: scene.at("path2/top"), format: "qcow2" },
      { path: scene.at("path2/base.raw"), format: "raw" },
    ];
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  const check = async (open: readonly LayerFile[]) => {
    const { site, asked } = scene.site({ openedChain: async () => open });
    const checked = checkOpened(site, { disk: "vda", node: "lm-target", chain, left: "All is as before." });
    return { checked, asked };
  };

  it("is left to the headers where these name it", async () => assert.deepEqual(await belowTop(scene.host, chain), {}));

  it("is named layer by layer where a header names no format", async () => {
    forgetBackingFormat(scene.at("path2/top"));
    assert.deepEqual(await belowTop(scene.host, chain), { below: chain.slice(1) });
  });

  it("is the right one where QEMU names its files otherwise", async () => {
    const { checked } = await check(chain.map(({ path, format }) => ({ path: path.replace("/path2/", "/path2/./"), format })));
    await checked;
  });

  it("in another format is refused in words, and closed", async () => {
    const { checked, asked } = await check(chain.map(({ path }) => ({ path, format: "qcow2" })));
    const said =
      /QEMU opened \S+top as \S+top \(qcow2\) ← \S+base\.raw \(qcow2\), and it is to be .*base\.raw \(raw\)\. All is as before\./;
    await assert.rejects(checked, (thrown) => isKind(thrown, "user") && said.test(thrown.message));
    assert.match(asked.at(-1) ?? "", /^closeNodes \["lm-target"\]/);
  });

  it("with another file in it is refused", async () => {
    await scene.write("path2/other.raw");
    const { checked } = await check([chain[0], { path: scene.at("path2/other.raw"), format: "raw" }]);
    await assert.rejects(checked, /other\.raw \(raw\), and it is to be/);
  });

  it("with a layer too few is refused", async () => {
    const { checked } = await check(chain.slice(0, 1));
    await assert.rejects(checked, /it is to be/);
  });
});
