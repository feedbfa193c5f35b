/** What of a disk forbids to move it: refused before anything is touched; what may stay behind by `loses` does. */

import assert from "node:assert/strict";
import path from "node:path";
import { run } from "../sandbox/command.js";
import { oneLayer } from "../sandbox/disks.js";
import { onOwnStage, onStage, type StageOptions } from "./stage.js";

const title = "a disk that cannot be moved as it is";

const guest: StageOptions = {
  emptyDrive: "cd0",
  disks: async (at) => {
    const folder = at("path1");
    const snapped = path.join(folder, "snapped.qcow2");
    await run("qemu-img", ["create", "-q", "-f", "qcow2", snapped, "1G"]);
    await run("qemu-img", ["snapshot", "-c", "before the upgrade", snapped]);
    return [
      { storage: folder },
      { storage: folder, id: "ro", access: "read-only", layers: oneLayer("ro.qcow2") },
      { storage: folder, id: "vdc", layers: [{ file: "snapped.qcow2" }] },
      { storage: folder, id: "vdd", layers: oneLayer("bitmapped.qcow2"), serial: "BITMAPS" },
    ];
  },
};

describe(title, function () {
  this.timeout(180_000);
  const stage = onStage(guest);
  const operator = () => stage().operator;

  it("that is not there is answered with those that are", async () => {
    const message = await stage().refuses({ disks: ["vdz"] });
    assert.match(
      message,
      /Unable to find the disk "vdz" of .*qmp\.sock.*: no device id, .* is like that\. Correct `disk`\. It has vda, ro, vdc, vdd, cd0\.$/,
    );
  });

  it("is refused for an empty drive", async () => {
    assert.match(await stage().refuses({ disks: ["cd0"] }), /cd0 of .*: its drive is empty\. Nothing was touched\. Name a disk/);
  });

  it("is refused for a read-only disk", async () => {
    assert.match(await stage().refuses({ disks: ["ro"] }), /Unable to move ro .*: it is read-only\. Nothing was touched\./);
  });

  it("is refused while somebody else's mirror runs on it", async () => {
    const target = path.join(stage().sandbox.folder, "elsewhere.qcow2"); // outside: it takes what the guest writes
    await run("qemu-img", ["create", "-q", "-f", "qcow2", target, "1G"]);
    await operator().execute("blockdev-add", { driver: "qcow2", "node-name": "theirs", file: { driver: "file", filename: target } });
    await operator().execute("blockdev-mirror", { "job-id": "backup", device: "vda-old", target: "theirs", sync: "none" });
    try {
      assert.match(
        await stage().refuses({}),
        /somebody else's job runs on it \(mirror backup\)\. Nothing was touched\. Let it end, or cancel/,
      );
    } finally {
      await stage().endJob("backup");
      await operator().execute("blockdev-del", { "node-name": "theirs" });
    }
  });

  it("is refused while somebody else's backup runs on it", async () => {
    const target = path.join(stage().sandbox.folder, "backup.qcow2"); // outside: it takes what the guest overwrites
    await operator().execute("drive-backup", { "job-id": "nightly", device: "vda-old", target, sync: "full", speed: 1, format: "qcow2" });
    try {
      assert.match(await stage().refuses({}), /somebody else's job runs on it \(backup nightly\)/);
    } finally {
      await stage().endJob("nightly");
    }
  });

  it("is refused for internal snapshots, which are named", async () => {
    const message = await stage().refuses({ disks: ["vdc"] });
    assert.match(
      message,
      /does not carry its internal snapshots \(before the upgrade\)\. Nothing was touched\. Add "internal-snapshots" to `loses`/,
    );
  });
});

describe(title, function () {
  this.timeout(180_000);
  const stage = onOwnStage(guest);

  it("is refused for dirty bitmaps, which are named; with `loses` it moves", async () => {
    await stage().operator.execute("block-dirty-bitmap-add", { node: "vdd-bitmapped", name: "weekly", persistent: true });
    const refused = await stage().refuses({ disks: ["vdd"] });
    assert.match(refused, /does not carry its dirty bitmaps \(weekly\)\. Nothing was touched\. Add "bitmaps" to `loses`/);
    const before = stage().guest.acknowledged("vdd");
    const { BITMAPS } = await stage().moves({ disks: ["BITMAPS"], loses: ["bitmaps"] });
    assert.equal(BITMAPS?.bootPath, stage().at("path2", "bitmapped.qcow2"));
    await stage().guest.waitForRecords(20);
    assert(stage().guest.acknowledged("vdd") > before);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "bitmapped.qcow2"), "vdd");
  });

  it("with internal snapshots moves, if they may stay behind", async () => {
    const { vdc } = await stage().moves({ disks: ["vdc"], loses: ["internal-snapshots"] });
    assert.deepEqual(
      vdc?.chain.map(({ path }) => path),
      [stage().at("path2", "snapped.qcow2")],
    );
    await stage().guest.waitForRecords(20);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "snapped.qcow2"), "vdc");
  });
});
