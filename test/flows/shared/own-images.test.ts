/** What is removed is proved to be what was made; what stays says why. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { open } from "node:fs/promises";
import { type WhichFile, whichOf } from "../../../provider/core/disk/chain.js";
import { type OwnImage, provedByNode, removeOwn } from "../../../provider/flows/shared/own-images.js";
import { seeFiles } from "../../../provider/host/file-seen.js";
import { MoveScene } from "../move/scene.js";

async function seeMade(host: MoveScene["host"], path: string): Promise<WhichFile | undefined> {
  const [made] = await seeFiles(host, [path], "keep-links");
  return made && whichOf(made);
}

describe("an image that a move made", () => {
  const named = "by the user";
  const remove = (scene: MoveScene, more: Partial<OwnImage>) =>
    removeOwn(scene.host, { path: scene.at("path2/disk"), made: undefined, named, maker: "this move", ...more });

  it("is removed where it is that file, and is no error where it is gone", async () => {
    await using scene = await MoveScene.open();
    await scene.write("path2/disk");
    const made = await seeMade(scene.host, scene.at("path2/disk"));
    assert.equal(await remove(scene, { made }), undefined);
    assert(!existsSync(scene.at("path2/disk")));
    assert.equal(await remove(scene, { made }), undefined);
    assert.equal(await seeMade(scene.host, scene.at("path2/disk")), undefined);
  });

  it("stays where another file has its name, or its inode too", async () => {
    await using scene = await MoveScene.open();
    await scene.write("path2/disk");
    const { dev, ino, identity } = await scene.which("path2/disk");
    assert(identity);
    for (const made of [
      { dev, ino: "1", identity: { ...identity, inode: "1" } },
      { dev, ino, identity: { ...identity, handle: "1:other", birthNs: "1" } },
    ])
      assert.match((await remove(scene, { made }))?.why ?? "gone", /^is not the file that this move made there$/);
    assert(existsSync(scene.at("path2/disk")));
  });

  it("stays where its file system does not tell whether it is that file, and where 0.1.0 wrote down its inode alone", async () => {
    await using scene = await MoveScene.open();
    await scene.write("path2/disk");
    const { dev, ino, identity } = await scene.which("path2/disk");
    assert(identity);
    for (const made of [
      { dev, ino },
      { dev, ino, identity: { ...identity, handle: null, birthNs: null } },
    ])
      assert.match((await remove(scene, { made }))?.why ?? "gone", /^is not proved to be the file that this move made there$/);
    assert.match((await remove(scene, { made: { dev, ino: "1" } }))?.why ?? "gone", /^is not the file/);
    assert(existsSync(scene.at("path2/disk")));
  });

  it("under a name that only we give needs no more than its inode, or nothing where it was not yet written down", async () => {
    await using scene = await MoveScene.open();
    for (const recorded of ["inode", "nothing"]) {
      await scene.write("path2/disk");
      const { dev, ino } = await scene.which("path2/disk");
      assert.match((await remove(scene, { made: { dev, ino: "1" }, named: "by us" }))?.why ?? "gone", /^is not the file/);
      assert.equal(await remove(scene, { made: recorded === "inode" ? { dev, ino } : undefined, named: "by us" }), undefined);
      assert(!existsSync(scene.at("path2/disk")));
    }
  });

  it("of 0.1.0 is proved by our own node, as long as QEMU has that file open", async () => {
    await using scene = await MoveScene.open();
    for (const name of ["path2/disk", "path2/other"]) await scene.write(name);
    const whole = await scene.which("path2/disk");
    const { identity: _, ...made } = whole;
    const view = { nodes: [{ name: "lm-node", driver: "qcow2", file: scene.at("path2/disk") }] };
    const proved = async (node: string, ...open: string[]) =>
      provedByNode(scene.host, { path: scene.at("path2/disk"), made }, { view, node, process: await scene.process(...open) });
    assert.deepEqual(await proved("lm-node", "path2/disk"), whole);
    assert.deepEqual(await proved("lm-node", "path2/other"), made);
    assert.deepEqual(await proved("lm-gone", "path2/disk"), made);
    assert.deepEqual(await provedByNode(scene.host, { path: "/", made: whole }, { view, node: "lm-node", process: undefined }), whole);
  });

  it("is not removed while a process has it open", async function () {
    this.timeout(30_000);
    await using scene = await MoveScene.open();
    await scene.write("path2/disk");
    const made = whichOf(await scene.which("path2/disk"));
    const file = await open(scene.at("path2/disk"));
    const removal = remove(scene, { made });
    const closing = setTimeout(async () => {
      assert(existsSync(scene.at("path2/disk")));
      await file.close();
    }, 300);
    assert.equal(await removal, undefined);
    clearTimeout(closing);
    assert(!existsSync(scene.at("path2/disk")));
  });
});
