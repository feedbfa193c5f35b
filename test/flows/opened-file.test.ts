/** What QEMU has open under the name of a file that we made must be that file. */

import assert from "node:assert/strict";
import { checkOpenedFile } from "../../provider/flows/shared/opened-file.js";
import { MoveScene } from "./move/scene.js";

describe("a file that QEMU has opened after we made it", () => {
  const opened = async (scene: MoveScene, answers: object) => {
    const { site, asked } = scene.site(answers);
    const made = await scene.which("path1/disk.qcow2");
    const path = scene.at("path1/disk.qcow2");
    return { asked, checking: checkOpenedFile(site, { verb: "move", disk: "vda", node: "new", path, made, left: "The guest runs on." }) };
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
    await assert.rejects(
      checking,
      /^UserError: Unable to move vda of web on here: QEMU opened another file as .*disk\.qcow2 .*made there\. The guest runs on\. See/,
    );
    assert.deepEqual(asked, ["process", 'closeNodes ["new"]', "jobs"]);
  });
});
