/** A `link` that does not say where a boot finds the disk is refused, with nothing touched. */

import assert from "node:assert/strict";
import { mkdir, readlink, symlink } from "node:fs/promises";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { oneLayer } from "../sandbox/disks.js";
import { onOwnStage, onStage, type StageOptions } from "./stage.js";

const title = "a link";

const guest: StageOptions = {
  disks: async (at) => {
    await symlink("path1", at("disks"));
    await mkdir(at("path0"));
    return [
      { storage: at("path1"), through: at("disks") },
      { storage: at("path1"), id: "vdb", layers: oneLayer("data.qcow2"), through: at("disks") },
      { storage: at("path0"), id: "vdc", layers: oneLayer("other.qcow2") },
    ];
  },
};

describe(title, function () {
  this.timeout(180_000);
  const stage = onStage(guest);
  const refused = (link: string, different = {}) => stage().refuses({ link, disks: ["vda", "vdb"], ...different });

  it("that is not there is refused", async () => {
    assert.match(
      await refused(stage().at("disk")),
      /the link .*\/disk does not exist\. Nothing was touched\. Create it as a symbolic link to the disks' directory/,
    );
  });

  it("that is a directory is refused", async () => {
    assert.match(
      await refused(stage().at("path1")),
      /path1 is a directory and no symbolic link\. Nothing was touched\. Name a symbolic link/,
    );
  });

  it("that is a file is refused", async () => {
    assert.match(await refused(stage().at("vmlinux")), /vmlinux is a file and no symbolic link/);
  });

  it("to a file is refused", async () => {
    await symlink("path1/old.qcow2", stage().at("active"));
    assert.match(
      await refused(stage().at("active")),
      /the link .*\/active does not lead to a directory\. Nothing was touched\. A link to a file would make QEMU look for the backing files beside the link: link the directory/,
    );
  });

  it("that leads nowhere is refused", async () => {
    await symlink("nowhere", stage().at("dangling"));
    assert.match(await refused(stage().at("dangling")), /does not lead to a directory/);
  });

  it("that leads elsewhere is refused", async () => {
    await symlink("path0", stage().at("elsewhere"));
    assert.match(
      await refused(stage().at("elsewhere")),
      /the link .*elsewhere does not lead to .*path1, where vda lies\. Nothing was touched\. Name the link/,
    );
  });

  it("that is the destination itself is refused", async () => {
    const message = await refused(stage().at("disks"), { destination: stage().at("disks", "inner") });
    assert.match(message, /there is no directory/);
  });

  it("behind which a disk would stay is refused, by that disk's name", async () => {
    const message = await refused(stage().at("disks"), { disks: ["vda"] });
    assert.match(message, /vdb lies behind the same link and would not move with it\. Nothing was touched\. Add it to `disks`/);
  });

  it("to the destination that the disks do not go through is refused", async () => {
    const message = await refused(stage().at("disks"), { disks: ["vda", "vdb", "vdc"] });
    assert.match(message, /does not lead to .*path0, where vdc lies/);
  });

  it("that the disk was not started through is refused for `afterwards: keep`, since a boot would find the kept image", async () => {
    await symlink("path0", stage().at("late"));
    const message = await refused(stage().at("late"), { disks: ["vdc"], afterwards: "keep" });
    assert.match(
      message,
      /vdc was not started through the link .*late but by .*path0\/other\.qcow2, where a boot would find the image that is kept/,
    );
    assert.match(message, /Nothing was touched\. Start the guest through the link, or use afterwards "quarantine"\.$/);
  });

  it("is wanted by `afterwards: keep`, which check says", () => {
    const { failures } = storageMigration.check({}, { ...stage().arguments, afterwards: "keep" });
    assert.deepEqual(
      failures.map(({ property }) => property),
      ["afterwards"],
    );
    assert.match(failures[0]?.reason ?? "", /afterwards "keep" wants `link`/);
  });
});

describe(title, function () {
  this.timeout(180_000);
  const stage = onOwnStage(guest);

  it("leads to the destination after the move, and disks that do not lie behind it stay", async () => {
    const moves = await stage().moves({ link: stage().at("disks"), disks: ["vda", "vdb"] });
    assert.equal(await readlink(stage().at("disks")), stage().at("path2"));
    assert.equal(moves.vda?.bootPath, stage().at("disks", "old.qcow2"));
    await stage().guest.waitForRecords(10);
    await stage().guest.kill();
    await stage().guest.boot(); // by the command line that names the disks through the link
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "old.qcow2"), "vda");
    await stage().holdsAll(stage().at("path2", "data.qcow2"), "vdb");
    await stage().holdsAll(stage().at("path0", "other.qcow2"), "vdc");
  });
});
