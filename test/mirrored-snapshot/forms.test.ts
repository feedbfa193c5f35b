import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import { chainOf } from "../sandbox/check.js";
import { run } from "../sandbox/command.js";
import { rawImage } from "../sandbox/disks.js";
import { Stage, type StageOptions } from "../storage-migration/stage.js";
import { copyLayers, endSnapshot, inStage, makeSnapshot, snapshotArguments } from "./scene.js";

/** Guests and files of other forms than the proposal's. */
const forms: { title: string; options: StageOptions; copy?: (stage: Stage) => Promise<unknown> }[] = [
  { title: "started with -drive", options: { style: "drive" } },
  { title: "behind a throttle filter", options: { disks: (at) => [{ storage: at("path1"), maxBytesPerSecond: 200 * 2 ** 20 }] } },
  { title: "on virtio-scsi", options: { disks: (at) => [{ storage: at("path1"), bus: "virtio-scsi" }] } },
  { title: "in an iothread", options: { disks: (at) => [{ storage: at("path1"), iothread: "own" }] } },
  {
    title: "with one raw image",
    options: { disks: (at) => [{ storage: at("path1"), layers: rawImage() }] },
    copy: (stage) => run("cp", ["--sparse=always", stage.at("path1/disk.raw"), stage.at("path2/disk.raw")]),
  },
];

describe("a mirrored snapshot of a guest", function () {
  this.timeout(180_000);

  for (const { title, options, copy = copyLayers } of forms) {
    it(`${title} pivots with nothing lost, and nothing of the old chain open`, async () => {
      await using stage = await Stage.open(options);
      const { outputs } = await makeSnapshot(snapshotArguments(stage, { copyMode: "write-blocking" }));
      await stage.guest.waitForRecords(20);
      await copy(stage);
      await endSnapshot(outputs, "pivot");
      await stage.guest.waitForRecords(20);
      assert.deepEqual(
        (await stage.guest.openFiles()).filter((file) => file.includes("/path1/")),
        [],
      );
      await stage.guest.stop();
      await stage.holdsAll(stage.at("path2/new.qcow2"));
    });
  }

  it("may follow another one: after an abort onto the overlay, after a pivot onto the mirror, through a link to the directory", async () => {
    await using stage = await Stage.open();
    await symlink(stage.at("path2"), stage.at("linked"));
    const first = await makeSnapshot(snapshotArguments(stage));
    await endSnapshot(first.outputs, "abort");
    await stage.guest.waitForRecords(10);

    const disks = [{ disk: "vda", file: stage.at("path1/second"), mirror: stage.at("linked/second") }];
    const second = await makeSnapshot(snapshotArguments(stage, { disks }));
    await stage.guest.waitForRecords(10);
    await copyLayers(stage);
    await run("cp", ["--sparse=always", stage.at("path1/old.migrate"), stage.at("path2/old.migrate")]);
    await endSnapshot(second.outputs, "pivot");
    await stage.guest.waitForRecords(10);

    await mkdir(stage.at("path3"));
    const third = await makeSnapshot(
      snapshotArguments(stage, { disks: [{ disk: "vda", file: stage.at("path2/third"), mirror: stage.at("path3/third") }] }),
    );
    await stage.guest.waitForRecords(10);
    for (const layer of ["common.qcow2", "old.qcow2", "old.migrate", "second"]) {
      await run("cp", ["--sparse=always", stage.at("path2", layer), stage.at("path3", layer)]);
    }
    await endSnapshot(third.outputs, "pivot");
    await stage.guest.waitForRecords(10);
    assert.deepEqual(
      (await stage.guest.openFiles()).filter((file) => /path[12]\//.test(file)),
      [],
    );
    await stage.guest.stop();
    const chain = inStage(stage, await chainOf(stage.at("path3/third")));
    assert.deepEqual(
      chain,
      ["third", "second", "old.migrate", "old.qcow2", "common.qcow2"].map((name) => `path3/${name}`),
    );
    await stage.holdsAll(stage.at("path3/third"));
  });

  it("may have its overlay in another directory than the image that it stands on", async () => {
    await using stage = await Stage.open();
    await mkdir(stage.at("path1/overlays"));
    const disks = [{ disk: "vda", file: stage.at("path1/overlays/file"), mirror: stage.at("path2/overlays/mirror") }];
    await mkdir(stage.at("path2/overlays"));
    const { outputs } = await makeSnapshot(snapshotArguments(stage, { disks }));
    await stage.guest.waitForRecords(10);
    await copyLayers(stage);
    await endSnapshot(outputs, "pivot");
    await stage.guest.waitForRecords(10);
    await stage.guest.stop();
    const chain = await chainOf(stage.at("path2/overlays/mirror"));
    assert.equal(chain[0]?.backingName, "../old.qcow2");
    await stage.holdsAll(stage.at("path2/overlays/mirror"));
  });
});

describe("a move of a disk whose mirrored snapshot has ended", function () {
  this.timeout(180_000);

  for (const ending of ["abort", "pivot"] as const) {
    it(`by ${ending} takes its whole chain along`, async () => {
      await using stage = await Stage.open();
      await mkdir(stage.at("path3"));
      const { outputs } = await makeSnapshot(snapshotArguments(stage));
      if (ending === "pivot") await copyLayers(stage);
      await endSnapshot(outputs, ending);
      const active = ending === "abort" ? "old.migrate" : "new.qcow2";
      await stage.moves({ destination: stage.at("path3") });
      await stage.guest.waitForRecords(10);
      await stage.guest.stop();
      const chain = await chainOf(stage.at("path3", active));
      assert.deepEqual(
        inStage(stage, chain),
        [active, "old.qcow2", "common.qcow2"].map((name) => `path3/${name}`),
      );
      assert.deepEqual(
        chain.map(({ backingName }) => backingName),
        ["old.qcow2", "common.qcow2", undefined],
      );
      await stage.holdsAll(stage.at("path3", active));
    });
  }
});
