/** Files that have what ours had: the name, the size, the time, the inode. */

import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { run } from "../sandbox/command.js";
import { type DiskOptions, makeImages, planDisks } from "../sandbox/disks.js";
import { mountSmall } from "../sandbox/file-systems.js";
import { Recorder, Stage, stopAt } from "../storage-migration/stage.js";

async function stopped(word: string, stage: Stage, different: Record<string, unknown>): Promise<Unfinished> {
  const reason: unknown = await stopAt(word, stage, different).catch((thrown: unknown) => thrown);
  assert(reason instanceof Unfinished, String(reason));
  return reason;
}

/** Gives the name a file with this inode, which must be free: ext4 gives the lowest one of a folder's group first. */
async function makeWithInode(file: string, inode: number, make: (name: string) => Promise<unknown>): Promise<void> {
  const others: string[] = [];
  for (let number = 0; ; number++) {
    const name = `${file}.${number}`;
    await make(name);
    if ((await stat(name)).ino === inode) {
      await rename(name, file);
      for (const other of others) await rm(other);
      return;
    }
    assert(others.push(name) < 500, `No file gets the inode ${inode}.`);
  }
}

/** What an end of the move says, whatever it is. */
const saidBy = (run: Recorder, ending: Promise<unknown>) =>
  ending.then(
    () => run.said.join("\n"),
    (thrown: Error) => thrown.message,
  );

describe("a file that is not ours, and has what ours had,", function () {
  this.timeout(180_000);

  it("is kept by the undo, which says so, where it has the target's name and inode", async () => {
    await using stage = await Stage.open({ fileSystem: "ext4" });
    const { id, outputs } = await stopped("mirroring", stage, { maxBytesPerSecond: 8_000_000 });
    const target = stage.at("path2", "old.qcow2");
    const { ino } = await stat(target);
    await stage.operator.close();
    await stage.guest.kill();
    await rm(target);
    await makeWithInode(target, ino, (name) => writeFile(name, "an image of the operator's"));
    await stage.boot();
    const run = new Recorder();
    const said = await saidBy(run, storageMigration.delete(id, outputs, run));
    assert.equal(await readFile(target, "utf8"), "an image of the operator's");
    assert.match(said, /path2\/old\.qcow2 is not the file that this move made there/);
    await rm(target);
    await storageMigration.delete(id, outputs, new Recorder());
    await stage.guest.waitForRecords(5);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path1", "old.qcow2"));
  });

  it("is no frozen layer, where it has a layer's name, size, time and inode since the guest was started again", async () => {
    await using stage = await Stage.open({ fileSystem: "ext4" });
    await stopped("copying", stage, { maxBytesPerSecond: 4_000_000 });
    const [layer, before] = [stage.at("path1", "common.qcow2"), stage.at("before")];
    const { ino } = await stat(layer);
    await stage.operator.close();
    await stage.guest.kill();
    await run("cp", ["--preserve=timestamps", layer, before]);
    await rm(layer);
    await makeWithInode(layer, ino, (name) => copyFile(before, name));
    await run("touch", ["-r", before, layer]);
    await stage.boot();
    await assert.rejects(stage.moves(), /path1\/common\.qcow2.*Nothing was/);
    assert.equal(await stage.operator.activeImage("vda"), stage.at("path1", "old.qcow2"));
  });

  it("is no copy of another file system's base, where the bases have one name, size, time and inode", async () => {
    const undo: (() => unknown)[] = [];
    const unmountAll = async () => {
      for (const act of undo.splice(0)) await act();
    };
    const mounts = { defer: (act: () => unknown) => void undo.push(act) };
    const onTwoMounts = async (at: (...names: string[]) => string): Promise<DiskOptions[]> => {
      const disks = ["vda", "vdb"].map((id, index): DiskOptions => {
        const base = { file: "base.qcow2", fill: { byte: 0x11 + index, fromMiB: 0, lengthMiB: 16 } };
        return { id, storage: at(`mount-${id}`), layers: [base, { file: `${id}.qcow2` }] };
      });
      for (const { storage } of disks) await mountSmall(mounts, storage, { kind: "ext4", sizeMiB: 200 });
      for (const disk of planDisks(disks)) await makeImages(disk);
      for (const { storage } of disks) await utimes(`${storage}/base.qcow2`, 1_700_000_000, 1_700_000_000);
      return disks;
    };
    await using stage = await Stage.open({ disks: onTwoMounts }).catch(async (failed: unknown) => {
      await unmountAll();
      throw failed;
    });
    stage.sandbox.defer(unmountAll);
    const bases = await Promise.all(["vda", "vdb"].map((id) => stat(stage.at(`mount-${id}`, "base.qcow2"))));
    const shown = bases.map(({ ino, size, mtimeMs }) => ({ ino, size, mtimeMs }));
    assert.deepEqual(shown[0], shown[1]);
    await mkdir(stage.at("path2"), { recursive: true });
    await stopped("vda mirroring", stage, { disks: ["vda"], maxBytesPerSecond: 4_000_000 });
    const said = await saidBy(new Recorder(), stage.moves({ disks: ["vdb"] }));
    await stage.guest.waitForRecords(5);
    const active = await stage.operator.activeImage("vdb");
    await stage.guest.stop();
    await stage.holdsAll(active, "vdb");
    assert.match(said, /path2\/base\.qcow2 already exists with other content than .*mount-vdb\/base\.qcow2/);
  });

  it("is no destination, where it is another file system's root; its own is one again, whatever its device's number", async () => {
    await using stage = await Stage.open();
    const path2 = stage.at("path2");
    const image = (name: string) => stage.at(`${name}.img`);
    const mount = async (name: string, place: string) => {
      await mkdir(place, { recursive: true });
      await run("mount", ["-o", "loop", image(name), place]);
      stage.sandbox.defer(() => run("umount", ["--lazy", place]).catch(() => {}));
    };
    const make = async (name: string) => {
      await run("truncate", ["-s", "400M", image(name)]);
      await run("mkfs.ext4", ["-q", "-F", "-m", "0", image(name)]);
    };
    for (const name of ["ours", "theirs"]) await make(name);
    await mount("ours", path2);
    const [{ ino, dev }] = [await stat(path2)];
    await stopped("copying", stage, { maxBytesPerSecond: 4_000_000 });
    await run("umount", [path2]);
    await mount("theirs", path2);
    assert.equal((await stat(path2)).ino, ino);
    await assert.rejects(stage.moves(), /path2 is another directory than when the move began\. Mount its storage again/);
    await run("umount", [path2]);
    await mount("ours", path2);
    // other tests take and give back loop devices too: the number goes to another image until ours gets another one
    for (let tries = 0; (await stat(path2)).dev === dev; tries++) {
      assert(tries < 10, "the file system has the same device whatever else is mounted");
      await run("umount", [path2]);
      await make(`more${tries}`);
      await mount(`more${tries}`, stage.at(`more${tries}`));
      await mount("ours", path2);
    }
    assert.equal((await stage.moves()).vda?.phase, "settled");
    await stage.guest.waitForRecords(5);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2", "old.qcow2"));
  });
});
