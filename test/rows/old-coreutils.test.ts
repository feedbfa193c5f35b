/** Hosts whose `stat` is older than coreutils 9.0, and file systems on which a file has another device than its superblock or directory. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import path from "node:path";
import { isImageInUse } from "../../provider/image/qemu-img.js";
import { host, overSsh, scratch, undoLater } from "../host/hosts.js";
import { LibvirtStage, type LibvirtStageOptions } from "../hypervisor/libvirt/stage.js";
import { run } from "../sandbox/command.js";
import { mountSmall } from "../sandbox/file-systems.js";
import { Stage } from "../storage-migration/stage.js";

/** Prints "?d" for `%Hd` and `%Ld`, as coreutils 8.30 to 8.32 do for a directive that they do not know (print_stat(), src/stat.c). */
const oldStat = `#!/bin/sh
for each do
  shift
  case $each in *%[HL]d*) each=$(printf %s "$each" | sed 's/%[HL]d/?d/g') ;; esac
  set -- "$@" "$each"
done
exec /usr/bin/stat "$@"
`;

async function movesUnderLibvirt(options: LibvirtStageOptions, prepare: (stage: LibvirtStage) => Promise<void> = async () => {}) {
  await using stage = await LibvirtStage.open(options);
  await prepare(stage);
  const { vda } = await stage.moves();
  assert.equal(vda?.phase, "settled");
  await stage.guest.waitForRecords(10);
  await stage.guest.destroy();
  await stage.holdsAll(stage.at("path2/old.qcow2"));
}

describe("a guest of libvirt's", function () {
  this.timeout(180_000);

  it("is moved where the host's coreutils are older than 9.0", async () => {
    await movesUnderLibvirt({}, (stage) => stage.virshLog.putBefore("stat", oldStat));
  });

  for (const fileSystem of ["btrfs", "overlay"] as const)
    it(`is moved where its images are on ${fileSystem}`, () => movesUnderLibvirt({ fileSystem }));
});

describe("a guest on plain QMP", function () {
  this.timeout(180_000);

  it("is moved where its images are on an overlay", async () => {
    await using stage = await Stage.open({ fileSystem: "overlay" });
    const { vda } = await stage.moves();
    assert.equal(vda?.phase, "settled");
    await stage.guest.waitForRecords(10);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2/old.qcow2"));
  });
});

describe("an image on btrfs", function () {
  overSsh(this);

  it("is in use while a guest has it open, and its namesake with the same inode number in another subvolume is not", async () => {
    const place = path.join(await scratch(), "btrfs");
    await mountSmall({ defer: undoLater }, place, { kind: "btrfs", sizeMiB: 120 });
    const images = ["one", "two"].map((name) => path.join(place, name, "a,b.raw"));
    for (const image of images) {
      await run("btrfs", ["subvolume", "create", path.dirname(image)]);
      await run("qemu-img", ["create", "-q", "-f", "raw", image, "1M"]);
    }
    const [open = "", closed = ""] = images;
    assert.equal((await stat(open)).ino, (await stat(closed)).ino);
    const node = JSON.stringify({ driver: "raw", "node-name": "a", file: { driver: "file", filename: open } });
    const args = ["-S", "-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none", "-monitor", "stdio"];
    args.push("-blockdev", node, "-device", "virtio-blk-pci,drive=a");
    const guest = spawn("qemu-system-x86_64", args, { stdio: ["pipe", "pipe", "inherit"] });
    undoLater(async () => {
      guest.kill();
      if (guest.exitCode === null && guest.signalCode === null) await once(guest, "exit");
    });
    await once(guest.stdout, "data");
    const { host: there } = await host();
    assert.deepEqual([await isImageInUse(there, open), await isImageInUse(there, closed)], [true, false]);
  });
});
