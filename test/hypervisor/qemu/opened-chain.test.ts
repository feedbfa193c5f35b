/** What QEMU is told to open below an image, and what it says that it has open then. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import type { ChainFiles, LayerFile } from "../../../provider/core/disk/chain-options.js";
import { isKind } from "../../../provider/core/errors.js";
import { toldBelow } from "../../../provider/hypervisor/chain-names.js";
import type { GraphGuest } from "../../../provider/hypervisor/hypervisor.js";
import { checkOpenedChain } from "../../../provider/hypervisor/opened.js";
import { makeQcow2 } from "../../flows/model-guest.js";
import { notingGuest } from "../../flows/move/noting-guest.js";
import { MoveScene } from "../../flows/move/scene.js";
import { forgetBackingFormat } from "../../sandbox/headers.js";

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

  const below = () => toldBelow(scene.host, chain);

  const check = async (open: readonly LayerFile[]) => {
    const { guest, asked } = notingGuest({ openedChain: async () => open });
    const checked = checkOpenedChain({ host: scene.host, guest: guest as GraphGuest }, "lm-target", chain);
    return { checked, asked };
  };

  it("is left to the headers where these name it", async () => assert.deepEqual(await below(), {}));

  it("is named layer by layer where a header names no format", async () => {
    forgetBackingFormat(scene.at("path2/top"));
    assert.deepEqual(await below(), { below: chain.slice(1) });
  });

  it("is the right one where QEMU names its files otherwise", async () => {
    const { checked } = await check(chain.map(({ path, format }) => ({ path: path.replace("/path2/", "/path2/./"), format })));
    await checked;
  });

  it("in another format is refused in words, and closed", async () => {
    const { checked, asked } = await check(chain.map(({ path }) => ({ path, format: "qcow2" })));
    const said = /QEMU opened \S+top as \S+top \(qcow2\) ← \S+base\.raw \(qcow2\), and it is to be .*base\.raw \(raw\)\. See who/;
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

  it("whose names QEMU has cut, or gives as none of a file, is refused, and closed", async () => {
    for (const name of [`json:{"driver": "qcow2", ${"x".repeat(4000)}`, `/${"x".repeat(4095)}`, "base.raw"]) {
      const { checked, asked } = await check([chain[0], { path: name, format: "raw" }]);
      await assert.rejects(
        checked,
        (thrown) => isKind(thrown, "user") && /it is to be/.test(thrown.message) && thrown.message.length < 1000,
      );
      assert.match(asked.at(-1) ?? "", /^closeNodes/);
    }
  });

  it("that QEMU has no room to name is refused before it is opened, in words that say how to name it by a header", async () => {
    const folder = `path2/${"x".repeat(200)}/${"y".repeat(200)}`;
    await mkdir(scene.at(folder), { recursive: true });
    const paths = Array.from({ length: 9 }, (_, index) => scene.at(`${folder}/${index}`));
    for (const [index, name] of paths.entries())
      makeQcow2(name, paths[index + 1] === undefined ? undefined : { name: String(index + 1), format: "qcow2" });
    const [top, middle, base] = [paths[0], paths[4], paths[5]] as [string, string, string];
    chain = [{ path: top, format: "qcow2" }, ...paths.slice(1).map((name) => ({ path: name, format: "qcow2" }))];
    assert.deepEqual(await below(), {});
    forgetBackingFormat(middle);
    const command = `qemu-img rebase -u -f qcow2 -F qcow2 -b ${base} ${middle}`;
    await assert.rejects(below(), (thrown) => {
      assert(isKind(thrown, "user"));
      assert(thrown.message.includes(`the header of ${middle} does not say which format ${base} has, so QEMU must be told all 9 layers`));
      assert(thrown.message.includes(command));
      return true;
    });
    execFileSync("sh", ["-c", command]);
    assert.deepEqual(await below(), {});
  });
});
