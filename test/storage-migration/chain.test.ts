/** Chains of all shapes, under a guest that writes to them: what moves, what stays, and what the headers say. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readdir, stat } from "node:fs/promises";
import type { Properties } from "../../provider/core/lifecycle.js";
import { chainOf } from "../sandbox/check.js";
import { type DiskOptions, oneLayer, rawImage, threeLayers, twoLayers } from "../sandbox/disks.js";
import { onStage, Stage } from "./stage.js";

async function disksIn(at: Stage["at"]): Promise<DiskOptions[]> {
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
}

interface Moved {
  paths: string[];
  /** Backing names, as the headers have them. */
  names: (string | undefined)[];
}

describe("a chain that moves under a writing guest", function () {
  this.timeout(180_000);

  /** One disk moves, is looked at, and has every write; what its move says of it and what the files say must be the same. */
  async function moves(
    disk: string,
    look: (moved: Moved, stage: Stage) => unknown,
    different: (at: Stage["at"]) => Properties = () => ({}),
  ) {
    await using stage = await Stage.open({ disks: async (at) => (await disksIn(at)).filter(({ id }) => id === disk) });
    const { [disk]: move } = await stage.moves({ disks: [disk], ...different((...names) => stage.at(...names)) });
    assert(move);
    assert.equal(move.phase, "settled");
    const onDisk = await chainOf(move.bootPath);
    assert.deepEqual(
      move.chain.map(({ path, format }) => `${format} ${path}`),
      onDisk.map(({ path, format }) => `${format} ${path}`),
    );
    assert((await stage.guest.openFiles()).includes(move.bootPath), "QEMU has the boot path open");
    await look({ paths: onDisk.map(({ path }) => path), names: onDisk.map(({ backingName }) => backingName) }, stage);
    await holdsAll(stage, { [disk]: move.bootPath });
  }

  /** Every acknowledged write of each disk, by its image; and nothing of a move is left but quarantined images. */
  async function holdsAll(stage: Stage, images: Readonly<Record<string, string>>): Promise<void> {
    await stage.guest.waitForRecords(20);
    await stage.guest.stop();
    for (const [id, image] of Object.entries(images)) await stage.holdsAll(image, id);
    const strange = [...(await readdir(stage.at("path1"))), ...(await readdir(stage.at("path2")))].filter((name) => /lm-/.test(name));
    assert.deepEqual(
      strange.filter((name) => !/\.lm-[0-9a-f]{8}-\d{8}T\d{6}Z$/.test(name)),
      [],
    );
    assert.equal(strange.length, Object.keys(images).length);
  }

  it("leaves keepBase where it is, and names it by its full path", () => {
    const look = ({ paths, names }: Moved, stage: Stage) => {
      const keepBase = stage.at("path1/keep-base.qcow2");
      assert.deepEqual(paths, [stage.at("path2/keep-top.qcow2"), stage.at("path2/keep-middle.qcow2"), keepBase]);
      assert.deepEqual(names, ["keep-middle.qcow2", keepBase, undefined]);
      assert(!existsSync(stage.at("path2/keep-base.qcow2")));
    };
    return moves("keep", look, (at) => ({ keepBase: at("path1/keep-base.qcow2") }));
  });

  it("of three layers arrives with the same names and relative headers", () => {
    const look = ({ paths, names }: Moved, stage: Stage) => {
      assert.deepEqual(paths, [stage.at("path2/top.qcow2"), stage.at("path2/middle.qcow2"), stage.at("path2/base.qcow2")]);
      assert.deepEqual(names, ["middle.qcow2", "base.qcow2", undefined]);
    };
    return moves("three", look, () => ({ verify: "full" }));
  });

  it("of one raw image arrives raw, with its holes", () =>
    moves("raw", async ({ paths }, stage) => {
      assert.deepEqual(paths, [stage.at("path2/raw.img")]);
      const { blocks } = await stat(stage.at("path2/raw.img"));
      assert(blocks * 512 < 300 * 2 ** 20, `${blocks * 512} bytes of 1 GiB are allocated`);
      assert(!existsSync(stage.at("path1/raw.img")), "nothing stands at the old name");
    }));

  it("under a throttle filter keeps the filter on top", () =>
    moves("thr", async (_, stage) => {
      const drives = (await stage.operator.execute("query-block")) as { qdev?: string; inserted?: { "node-name": string; drv: string } }[];
      assert.equal(drives.find(({ qdev }) => qdev?.includes("/thr/"))?.inserted?.drv, "throttle");
    }));

  it("on virtio-scsi arrives", () => moves("scsi", ({ paths }, stage) => assert.deepEqual(paths, [stage.at("path2/scsi.qcow2")])));

  it("in an iothread of its own arrives, and absolute names are written as those of the copies", () =>
    moves("io", ({ paths, names }, stage) => {
      assert.deepEqual(paths, [stage.at("path2/abs-old.qcow2"), stage.at("path2/abs-common.qcow2")]);
      assert.deepEqual(names, [stage.at("path2/abs-common.qcow2"), undefined]);
    }));

  it("with a lower layer in another directory leaves that there, and names it by its full path", () =>
    moves("two", async ({ paths, names }, stage) => {
      assert.deepEqual(paths, [stage.at("path2/two-old.qcow2"), stage.at("images/two-common.qcow2")]);
      assert.deepEqual(names, [stage.at("images/two-common.qcow2"), undefined]);
      assert.deepEqual(await readdir(stage.at("images")), ["two-common.qcow2"]);
    }));

  it("of every shape at once has every acknowledged write, and leaves nothing of a move but quarantined images", async () => {
    await using stage = await Stage.open({ disks: disksIn });
    const all = await stage.moves({ disks: stage.guest.disks.map(({ id }) => id) });
    assert.deepEqual([...new Set(Object.values(all).map(({ phase }) => phase))], ["settled"]);
    await holdsAll(stage, Object.fromEntries(Object.entries(all).map(([id, { bootPath }]) => [id, bootPath])));
  });
});

describe("a guest whose disks are named by -drive", function () {
  this.timeout(180_000);
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
