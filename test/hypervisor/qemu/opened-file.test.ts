/** What QEMU has open under the name of a file that we made must be that file. */

import assert from "node:assert/strict";
import type { GraphGuest } from "../../../provider/hypervisor/hypervisor.js";
import { checkOpenedFile } from "../../../provider/hypervisor/opened.js";
import { notingGuest } from "../../flows/move/noting-guest.js";
import { MoveScene } from "../../flows/move/scene.js";

describe("a file that QEMU has opened after we made it", () => {
  const opened = async (scene: MoveScene, answers: object) => {
    const { guest, asked } = notingGuest(answers);
    const made = await scene.which("path1/disk.qcow2");
    const path = scene.at("path1/disk.qcow2");
    return { asked, checking: checkOpenedFile(guest as GraphGuest, { node: "new", path }, made) };
  };

  it("is that file, or hidden from this account", async () => {
    await using scene = await MoveScene.open();
    for (const process of [await scene.process("path1/disk.qcow2"), undefined]) {
      const { asked, checking } = await opened(scene, { process: () => process });
      await checking;
      assert.deepEqual(asked, ["process"]);
    }
  });

  it("is closed again where somebody else has put another one in its place", async () => {
    await using scene = await MoveScene.open();
    const process = await scene.process("path1/base.raw");
    const { asked, checking } = await opened(scene, { process: () => process });
    await assert.rejects(checking, /QEMU opened another file as .*disk\.qcow2 than the one that was made there\. See/);
    assert.deepEqual(asked, ["process", 'closeNodes ["new"]', "jobs"]);
  });
});
