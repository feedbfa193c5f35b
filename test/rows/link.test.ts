/** A guest whose command line names its disk through a link, and somebody who moves the disk, or re-points the link, by hand. */

import assert from "node:assert/strict";
import { mkdir, readlink, rm, symlink } from "node:fs/promises";
import type { Properties } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { type Move, onOwnStage, Recorder, refusal } from "../storage-migration/stage.js";

describe("a disk behind a link", function () {
  this.timeout(180_000);
  const stage = onOwnStage({
    disks: async (at) => {
      await symlink(at("path1"), at("disks"));
      for (const folder of ["path0", "path3"]) await mkdir(at(folder));
      return [{ storage: at("path1"), through: at("disks") }];
    },
  });
  const link = () => stage().at("disks");

  /** What a create through the link has left in the state, before somebody moved the disk to `path3`. */
  async function movedByHand(): Promise<{ id: string; state: Properties }> {
    const { inputs } = storageMigration.check({}, { ...stage().arguments, link: link() });
    const { id, outputs } = await storageMigration.create(inputs, new Recorder());
    assert.equal(movesOf(outputs).vda?.bootPath, stage().at("disks", "old.qcow2"));
    await stage().moves({ destination: stage().at("path3") });
    return { id, state: outputs };
  }

  it("whose link was re-pointed by hand to the destination is refused, and not taken for moved", async () => {
    await pointLink("path2");
    const message = await refusal(storageMigration, { ...stage().arguments, link: link() });
    assert.match(message, /QEMU names its image .*disks\/old\.qcow2, and that leads to another file than the one that it has open/);
    assert.match(
      message,
      /somebody has re-pointed the link .*disks since the guest was started\. Point it where it led\. Nothing was touched/,
    );
  });

  it("whose link was re-pointed by hand while the guest runs has as `bootPath` the file that QEMU has open", async () => {
    await pointLink("path2");
    const read = await storageMigration.read("id", { ...stage().arguments, link: link() }, new Recorder());
    assert(typeof read === "object");
    assert.equal(movesOf(read.outputs).vda?.bootPath, stage().at("path1", "old.qcow2"));
  });

  it("that was moved by hand to where the link does not lead has its own path as `bootPath`, not the link's", async () => {
    const { id, state } = await movedByHand();
    assert.equal(await readlink(link()), stage().at("path2"));
    const read = await storageMigration.read(id, state, new Recorder());
    assert(typeof read === "object");
    assert.equal(movesOf(read.outputs).vda?.bootPath, stage().at("path3", "old.qcow2"));
  });

  it("that was moved by hand is moved back by an update, which says where the link leads meanwhile, and boots through the link again", async () => {
    const { id, state } = await movedByHand();
    const teller = new Recorder();
    const { inputs } = storageMigration.check({}, { ...stage().arguments, link: link() });
    const { outputs } = await storageMigration.update(id, state, inputs, teller);
    assert.match(teller.said.join("\n"), /warning: .*the link .*disks leads to the destination, but vda runs on .*path3\/old\.qcow2/);
    assert.equal(movesOf(outputs).vda?.bootPath, stage().at("disks", "old.qcow2"));
    await stage().guest.waitForRecords(10);
    await stage().reboot(); // by the command line that names the disk through the link
    await stage().guest.waitForRecords(10);
    assert.equal(await readlink(link()), stage().at("path2"));
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "old.qcow2"));
  });

  it("whose link somebody points elsewhere has its own path as `bootPath`", async () => {
    await stage().moves({ destination: stage().at("path2") }); // from here on QEMU has it open by its place
    await pointLink("path0");
    const moves = await stage().moves({ link: link(), destination: stage().at("path2") });
    assert.equal(moves.vda?.bootPath, stage().at("path2", "old.qcow2"));
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "old.qcow2"));
  });

  async function pointLink(folder: string): Promise<void> {
    await rm(link());
    await symlink(stage().at(folder), link());
  }
});

function movesOf(outputs: Properties): Record<string, Move> {
  return outputs.moves as Record<string, Move>;
}
