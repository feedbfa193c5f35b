/**
 * Images and devices of all kinds, under a guest that writes to them, alone and all at once: names, length of the chain and what
 * each image was made with are the same after the move, and no write is lost.
 */

import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import path from "node:path";
import { chainOf } from "../sandbox/check.js";
import { run } from "../sandbox/command.js";
import { chainOfLayers, type DiskOptions, type LayerOptions, oneLayer, rawImage, twoLayers } from "../sandbox/disks.js";
import { onOwnStage, Stage, type StageOptions } from "./stage.js";

type Kinds = Record<string, { title: string; disk: Omit<DiskOptions, "id" | "storage"> }>;

/** A chain with what each of its layers is made with; base first. */
function made(prefix: string, ...creationOptions: string[]): LayerOptions[] {
  return creationOptions.map((options, index) => ({
    file: `${prefix}${index + 1}.qcow2`,
    fill: { byte: 0x11 * (index + 1), fromMiB: 5 * index, lengthMiB: 8 },
    ...(options === "" ? {} : { creationOptions: options }),
  }));
}

const onRaw = (prefix: string, ...creationOptions: string[]): LayerOptions[] => [
  ...rawImage(`${prefix}base.raw`),
  ...made(prefix, ...creationOptions),
];

const asNodes: Kinds = {
  thirty: { title: "a chain of 30 layers", disk: { layers: chainOfLayers(30, "thirty-") } },
  old: { title: "compat 0.10 on a raw base", disk: { layers: onRaw("old-", "compat=0.10", "compat=0.10,cluster_size=32k") } },
  odd: {
    title: "clusters of 512 bytes, of 2 MiB, and extended L2 entries of 128 KiB",
    disk: { layers: made("odd-", "cluster_size=512", "cluster_size=2M", "cluster_size=128k,extended_l2=on") },
  },
  packed: {
    title: "compressed clusters, in zlib and in zstd, with lazy refcounts",
    disk: {
      layers: made(
        "packed-",
        "compression_type=zlib",
        "compression_type=zstd",
        "compression_type=zstd,lazy_refcounts=on,refcount_bits=64",
      ).map((layer, index) => ({ ...layer, clusters: index < 2 ? ("compressed" as const) : ("plain" as const) })),
    },
  },
};

const asDrives: Kinds = {
  seven: { title: "a chain of seven layers on virtio-scsi", disk: { layers: chainOfLayers(7, "seven-"), bus: "virtio-scsi" } },
  lone: { title: "a lone qcow2", disk: { layers: oneLayer("lone.qcow2") } },
  odd: { title: "extended L2 entries on a raw base", disk: { layers: onRaw("odd-", "cluster_size=64k,extended_l2=on") } },
  cor: { title: "copy-on-read", disk: { layers: twoLayers("cor-"), copyOnRead: "on" } },
  slow: { title: "a throttled drive in an iothread", disk: { layers: twoLayers("slow-"), maxBytesPerSecond: 80_000_000, iothread: "own" } },
};

/** The disks of a table, all in `path1`. */
const disksOf = (kinds: Kinds) => (at: (name: string) => string) =>
  Object.entries(kinds).map(([id, { disk }]) => ({ id, storage: at("path1"), ...disk }));

/** What an image is, but for the place where it lies and what it takes there. */
async function propertiesOf(image: string): Promise<unknown[]> {
  const answer = await run("qemu-img", ["info", "--force-share", "--backing-chain", "--output=json", image]);
  const infos = JSON.parse(answer) as Record<string, unknown>[];
  return infos.map((info) => ({
    name: path.basename(String(info.filename)),
    backingName: info["backing-filename"],
    ...{ format: info.format, size: info["virtual-size"], clusterSize: info["cluster-size"], specific: specificOf(info) },
  }));
}

/** Of a qcow2's own part, what may differ: which file lies below, and flags of an image in use. */
function specificOf({ "format-specific": specific }: Record<string, unknown>): unknown {
  const { children: _, ...rest } = (specific as { data?: Record<string, unknown> } | undefined)?.data ?? {};
  return { ...rest, corrupt: undefined, filename: undefined };
}

/** Every disk of the table moves alone, then all do; each is checked by a reader that never saw the guest. */
function moveAll(style: Pick<StageOptions, "style">, kinds: Kinds): void {
  for (const [id, kind] of Object.entries(kinds)) {
    it(`moves ${kind.title}`, async () => {
      await using stage = await Stage.open({ ...style, disks: disksOf({ [id]: kind }) });
      const active = stage.guest.disk(id).chain[0] ?? "";
      const before = await propertiesOf(active);
      const { [id]: move } = await stage.moves({ disks: [id] });
      assert.equal(move?.phase, "settled");
      assert.equal(move.bootPath, stage.at("path2", path.basename(active)));
      assert.deepEqual(await propertiesOf(move.bootPath), before);
      const places = (await chainOf(move.bootPath)).map((layer) => path.dirname(layer.path));
      assert.deepEqual([...new Set(places)], [stage.at("path2")]);
      assert.equal(move.chain.length, before.length);
      await holdsAll(stage);
    });
  }

  it("moves all of them at once, and has every acknowledged write of each", async () => {
    await using stage = await Stage.open({ ...style, disks: disksOf(kinds) });
    const moves = await stage.moves({ disks: Object.keys(kinds) });
    assert.deepEqual([...new Set(Object.values(moves).map(({ phase }) => phase))], ["settled"]);
    await holdsAll(stage);
  });
}

/** All disks of the guest, which lie in `path2`. */
async function holdsAll(stage: Stage): Promise<void> {
  await stage.guest.waitForRecords(20);
  await stage.guest.stop();
  for (const { id, chain } of stage.guest.disks) await stage.holdsAll(stage.at("path2", path.basename(chain[0] ?? "")), id);
}

describe("a guest whose layers are nodes of their own", function () {
  this.timeout(180_000);
  moveAll({}, asNodes);
});

describe("a guest whose images are named by -drive", function () {
  this.timeout(180_000);
  moveAll({ style: "drive" }, asDrives);
});

describe("a chain whose names lead through links and other directories", function () {
  this.timeout(180_000);
  const stage = onOwnStage({
    style: "drive",
    disks: async (at) => {
      for (const folder of ["path1", "images"]) await mkdir(at(folder), { recursive: true });
      await symlink("path1", at("alias"));
      const [storage, alias] = [at("path1"), at("alias")];
      const through = (prefix: string, backingName: "relative" | "absolute"): LayerOptions[] =>
        twoLayers(prefix).map((layer, index) => ({ ...layer, backingName, ...(index === 0 ? { folder: alias } : {}) }));
      const [lowest, middle, top] = chainOfLayers(3, "far-");
      assert(lowest && middle && top);
      return [
        { id: "rel", storage, layers: through("rel-", "relative") },
        { id: "abs", storage, layers: through("abs-", "absolute") },
        { id: "far", storage, layers: [{ ...lowest, folder: at("path1") }, { ...middle, folder: at("images") }, top] },
      ];
    },
  });
  const path2 = (name: string) => stage().at("path2", name);

  for (const [id, title, expected] of [
    ["rel", "a relative name through a link to the same directory", () => [path2("rel-old.qcow2"), path2("rel-common.qcow2")]],
    ["abs", "an absolute name through a link to the same directory", () => [path2("abs-old.qcow2"), path2("abs-common.qcow2")]],
    [
      "far",
      "a layer in another directory, which stays with all below it, though that lies beside the active image",
      () => [path2("far-3.qcow2"), stage().at("images", "far-2.qcow2"), stage().at("path1", "far-1.qcow2")],
    ],
  ] as const) {
    it(`follows ${title}`, async () => {
      const { [id]: move } = await stage().moves({ disks: [id] });
      assert.equal(move?.phase, "settled");
      const chain = await chainOf(move.bootPath);
      assert.deepEqual(
        chain.map((layer) => path.normalize(layer.path)),
        expected(),
      );
      const [name] = chain.map(({ backingName }) => backingName);
      assert.equal(name, { rel: "rel-common.qcow2", abs: path2("abs-common.qcow2"), far: stage().at("images", "far-2.qcow2") }[id]);
      await stage().guest.waitForRecords(20);
      await stage().guest.stop();
      await stage().holdsAll(move.bootPath, id);
    });
  }

  it("is followed for all of them at once, and has every acknowledged write of each", async () => {
    await stage().moves({ disks: ["rel", "abs", "far"] });
    await stage().guest.waitForRecords(20);
    await stage().guest.stop();
    for (const [id, name] of Object.entries({ rel: "rel-old.qcow2", abs: "abs-old.qcow2", far: "far-3.qcow2" }))
      await stage().holdsAll(path2(name), id);
  });
});
