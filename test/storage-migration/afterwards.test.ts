/** What becomes of the former images, of two disks that switch together through a link. */

import assert from "node:assert/strict";
import { readdir, readlink, symlink } from "node:fs/promises";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { chainOf } from "../sandbox/check.js";
import { oneLayer } from "../sandbox/disks.js";
import { onOwnStage, refusal } from "./stage.js";

describe("two disks behind one link", function () {
  this.timeout(180_000);
  const stage = onOwnStage({
    disks: async (at) => {
      await symlink("path1", at("disks"));
      return [
        { storage: at("path1"), through: at("disks") },
        { storage: at("path1"), id: "vdb", layers: oneLayer("data.qcow2"), through: at("disks") },
      ];
    },
  });
  const link = () => stage().at("disks");

  async function isAt(directory: string): Promise<void> {
    for (const [file, id] of [
      ["old.qcow2", "vda"],
      ["data.qcow2", "vdb"],
    ] as const)
      await stage().holdsAll(stage().at(directory, file), id);
  }

  const movedAndKept = () => stage().moves({ disks: ["vda", "vdb"], link: link(), afterwards: "keep", verify: "full" });

  it("keep their images by the old names, if asked, and switch together", async () => {
    const moves = await movedAndKept();
    assert.deepEqual(
      Object.values(moves).map(({ phase, bootPath }) => [phase, bootPath]),
      [
        ["settled", stage().at("disks", "old.qcow2")],
        ["settled", stage().at("disks", "data.qcow2")],
      ],
    );
    assert.deepEqual((await readdir(stage().at("path1"))).sort(), ["common.qcow2", "data.qcow2", "old.qcow2"]);
    assert.match(moves.vda?.left?.join("\n") ?? "", /path1\/old\.qcow2: the image that was active before/);
    assert.equal(await readlink(link()), stage().at("path2"));
    await stage().guest.waitForRecords(10);
    await stage().reboot(); // by the same command line
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await isAt("path2");
  });

  it("are refused where a kept image has their name", async () => {
    await movedAndKept();
    const back = { disks: ["vda", "vdb"], link: link(), destination: stage().at("path1") };
    const message = await refusal(storageMigration, { ...stage().arguments, ...back });
    assert.match(message, /path1\/old\.qcow2 already exists and is not ours/);
  });

  it("leave no former image, if asked", async () => {
    const everything = { link: link(), afterwards: "delete", disks: undefined };
    const moves = await stage().moves(everything);
    assert.deepEqual(Object.keys(moves).sort(), ["vda", "vdb"]);
    assert.deepEqual(await readdir(stage().at("path1")), ["common.qcow2"]);
    assert.deepEqual(
      (await chainOf(stage().at("path2", "old.qcow2"))).map(({ backingName }) => backingName),
      ["common.qcow2", undefined],
    );
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await isAt("path2");
  });
});
