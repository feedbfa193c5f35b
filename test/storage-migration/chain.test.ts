/** Chains of all shapes, each a disk of one guest that writes to all of them: what moves, what stays, and what the headers say. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readdir, stat } from "node:fs/promises";
import { chainOf } from "../sandbox/check.js";
import { oneLayer, rawImage, threeLayers, twoLayers } from "../sandbox/disks.js";
import { onStage } from "./stage.js";

describe("a chain that moves under a writing guest", function () {
  this.timeout(120_000);
  const stage = onStage({
    disks: async (at) => {
      await mkdir(at("images"));
      const storage = at("path1");
      const absolute = twoLayers("abs-").map((layer) => ({ ...layer, backingName: "absolute" as const }));
      const [below, above] = twoLayers("two-");
      return [
        { id: "keep", storage, layers: threeLayers("keep-") },
        { id: "three", storage, layers: threeLayers() },
        { id: "raw", storage, layers: rawImage("raw.img") },
        { id: "thr", storage, layers: twoLayers("thr-"), maxBytesPerSecond: 50_000_000 },
        { id: "scsi", storage, layers: oneLayer("scsi.qcow2"), bus: "virtio-scsi" },
        { id: "io", storage, layers: absolute, iothread: "own" },
        {
          id: "two",
          storage,
          layers: [
            { ...below, file: "two-common.qcow2", folder: at("images") },
            { file: "two-old.qcow2", ...above },
          ],
        },
      ];
    },
  });
  const path1 = (...names: string[]) => stage().at("path1", ...names);
  const path2 = (...names: string[]) => stage().at("path2", ...names);

  /** Moves one disk; what its move says of it and what the files say must be the same. */
  async function moved(disk: string, different = {}): Promise<{ paths: string[]; names: (string | undefined)[] }> {
    const { [disk]: move } = await stage().moves({ disks: [disk], ...different });
    assert(move);
    assert.equal(move.phase, "settled");
    const onDisk = await chainOf(move.bootPath);
    assert.deepEqual(
      move.chain.map(({ path, format }) => `${format} ${path}`),
      onDisk.map(({ path, format }) => `${format} ${path}`),
    );
    assert((await stage().guest.openFiles()).includes(move.bootPath), "QEMU has the boot path open");
    return { paths: onDisk.map(({ path }) => path), names: onDisk.map(({ backingName }) => backingName) };
  }

  it("leaves keepBase where it is, and names it by its full path", async () => {
    const { paths, names } = await moved("keep", { keepBase: path1("keep-base.qcow2") });
    assert.deepEqual(paths, [path2("keep-top.qcow2"), path2("keep-middle.qcow2"), path1("keep-base.qcow2")]);
    assert.deepEqual(names, ["keep-middle.qcow2", path1("keep-base.qcow2"), undefined]);
    assert(!existsSync(path2("keep-base.qcow2")));
  });

  it("of three layers arrives with the same names and relative headers", async () => {
    const { paths, names } = await moved("three", { verify: "full" });
    assert.deepEqual(paths, [path2("top.qcow2"), path2("middle.qcow2"), path2("base.qcow2")]);
    assert.deepEqual(names, ["middle.qcow2", "base.qcow2", undefined]);
  });

  it("of one raw image arrives raw, with its holes", async () => {
    const { paths } = await moved("raw");
    assert.deepEqual(paths, [path2("raw.img")]);
    const { blocks } = await stat(path2("raw.img"));
    assert(blocks * 512 < 300 * 2 ** 20, `${blocks * 512} bytes of 1 GiB are allocated`);
    assert(!existsSync(path1("raw.img")), "nothing stands at the old name");
  });

  it("under a throttle filter keeps the filter on top", async () => {
    await moved("thr");
    const drives = (await stage().operator.execute("query-block")) as { qdev?: string; inserted?: { "node-name": string; drv: string } }[];
    assert.equal(drives.find(({ qdev }) => qdev?.includes("/thr/"))?.inserted?.drv, "throttle");
  });

  it("on virtio-scsi arrives", async () => {
    assert.deepEqual((await moved("scsi")).paths, [path2("scsi.qcow2")]);
  });

  it("in an iothread of its own arrives, and absolute names are written anew", async () => {
    const { paths, names } = await moved("io");
    assert.deepEqual(paths, [path2("abs-old.qcow2"), path2("abs-common.qcow2")]);
    assert.deepEqual(names, [path2("abs-common.qcow2"), undefined]);
  });

  it("with a lower layer in another directory leaves that there, and names it by its full path", async () => {
    const { paths, names } = await moved("two");
    assert.deepEqual(paths, [path2("two-old.qcow2"), stage().at("images", "two-common.qcow2")]);
    assert.deepEqual(names, [stage().at("images", "two-common.qcow2"), undefined]);
    assert.deepEqual(await readdir(stage().at("images")), ["two-common.qcow2"]);
  });

  it("has every acknowledged write, and leaves nothing of a move but quarantined images", async () => {
    await stage().guest.waitForRecords(20);
    await stage().guest.stop();
    const actives = ["keep-top.qcow2", "top.qcow2", "raw.img", "thr-old.qcow2", "scsi.qcow2", "abs-old.qcow2", "two-old.qcow2"];
    for (const [index, { id }] of stage().guest.disks.entries()) await stage().holdsAll(path2(actives[index] ?? ""), id);
    const strange = [...(await readdir(path1())), ...(await readdir(path2()))].filter((name) => /lm-/.test(name));
    assert.deepEqual(
      strange.filter((name) => !/\.lm-[0-9a-f]{8}-\d{8}T\d{6}Z$/.test(name)),
      [],
    );
    assert.equal(strange.length, actives.length);
  });
});

describe("a guest whose disks are named by -drive", function () {
  this.timeout(120_000);
  const stage = onStage({
    style: "drive",
    disks: (at) => [{ storage: at("path1") }, { storage: at("path1"), id: "raw", layers: rawImage("raw.img") }],
  });

  it("moves them together, by their drives' ids too, and boots from there", async () => {
    const moves = await stage().moves({ disks: ["drive-vda", "raw"] });
    assert.deepEqual(
      Object.values(moves).map(({ bootPath, phase }) => [bootPath, phase]),
      [
        [stage().at("path2", "old.qcow2"), "settled"],
        [stage().at("path2", "raw.img"), "settled"],
      ],
    );
    await stage().guest.waitForRecords(20);
    await stage().guest.kill();
    await stage().guest.boot({ vda: stage().at("path2", "old.qcow2"), raw: stage().at("path2", "raw.img") });
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "old.qcow2"));
    await stage().holdsAll(stage().at("path2", "raw.img"), "raw");
  });
});
