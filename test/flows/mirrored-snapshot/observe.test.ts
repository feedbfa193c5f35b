/** Where a mirrored snapshot stands, by its files, QEMU's node and job, and its manifests; and what its ends do to files. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Job } from "../../../provider/core/disk/job.js";
import { fileNames, nodeNames, quarantineName } from "../../../provider/core/disk/names.js";
import { isKind } from "../../../provider/core/errors.js";
import { checkChains } from "../../../provider/flows/mirrored-snapshot/chain-check.js";
import { clear, drop, setBack, tidy } from "../../../provider/flows/mirrored-snapshot/endings.js";
import { observe } from "../../../provider/flows/mirrored-snapshot/observe.js";
import type { RecordedDisk, SnapshotSite } from "../../../provider/flows/mirrored-snapshot/site.js";
import type { GuestView } from "../../../provider/hypervisor/hypervisor.js";
import { createImage } from "../../../provider/image/qemu-img.js";
import { writeRecords } from "../../../provider/journal/records.js";
import { parseSnapshotManifest, type SnapshotManifest, snapshotManifestText } from "../../../provider/journal/snapshot-manifest.js";
import { writeSnapshotRecords } from "../../../provider/journal/snapshot-records.js";
import { type Answers, emptyView } from "../move/noting-guest.js";
import { aJob, key, MoveScene } from "../move/scene.js";

const record = fileNames.manifest(key);
const node = nodeNames.snapshot(key, 0);

/** path1/file lies on path1/disk.qcow2, and is mirrored to path2/mirror. */
async function manifestOf(scene: MoveScene, more: Partial<SnapshotManifest> = {}): Promise<SnapshotManifest> {
  const part = { made: "here" as const, backing: { name: "disk.qcow2", format: "qcow2" }, creation: {} };
  for (const name of ["path1/file", "path2/mirror"]) if (!existsSync(scene.at(name))) await scene.write(name);
  return {
    ...{ kind: "mirrored-snapshot", version: 1, domainId: "domain", qdev: "vda", disk: "vda", startedAt: "x", virtualBytes: 1024 * 1024 },
    former: { path: scene.at("path1/disk.qcow2"), format: "qcow2", ...(await scene.which("path1/disk.qcow2")) },
    file: { ...part, path: scene.at("path1/file"), node, is: await scene.which("path1/file") },
    mirror: { ...part, path: scene.at("path2/mirror"), node: nodeNames.targets(key)[0], is: await scene.which("path2/mirror") },
    ...{ quarantine: scene.at(`path1/${quarantineName("file", key, new Date(0))}`), formerNodes: [], current: scene.at("path1/file") },
    ...more,
  };
}

interface Shown {
  on?: string;
  node?: string;
  job?: Partial<Job>;
}

function siteOf(scene: MoveScene, { on = "path1/file", node: active = node, job }: Shown = {}, answers: Answers = {}) {
  const chain: [string, string][] =
    on === "path1/file"
      ? [
          [on, "qcow2"],
          ["path1/disk.qcow2", "qcow2"],
        ]
      : [[on, "qcow2"]];
  const medium = { kind: "image" as const, ...scene.image(chain, active) };
  const view: GuestView = { ...emptyView, disks: [{ qdev: "vda", names: ["vda"], medium }], jobs: job ? [{ ...aJob, ...job }] : [] };
  const { site, asked } = scene.site({ look: () => view, ...answers });
  const disks = [{ disk: "vda", file: scene.at("path1/file"), mirror: scene.at("path2/mirror") }];
  return { site: { ...site, disks, reuseExternal: false } as unknown as SnapshotSite, asked, view };
}

async function seen(scene: MoveScene, shown: Shown = {}) {
  const { disks } = await observe(siteOf(scene, shown).site);
  return disks[0]?.seen ?? assert.fail();
}

describe("the phase of a mirrored snapshot", () => {
  let scene: MoveScene;
  beforeEach(async () => {
    scene = await MoveScene.open();
  });
  afterEach(() => scene[Symbol.asyncDispose]());
  const write = async (more: Partial<SnapshotManifest> = {}, sides: "source" | "both" = "both") => {
    const manifest = await manifestOf(scene, more);
    await writeSnapshotRecords(scene.host, key, manifest, sides);
    return manifest;
  };

  for (const [on, phase] of [
    ["path1/disk.qcow2", { phase: "absent" }],
    ["path1/file", { phase: "ended", on: "file" }],
    ["path2/mirror", { phase: "ended", on: "mirror" }],
  ] as const)
    it(`is ${phase.phase} with nothing written down and the guest on ${on}`, async () => {
      await manifestOf(scene);
      assert.deepEqual(await seen(scene, { on }), phase);
    });

  it("is a contradiction where a move of the disk has not ended, or another snapshot lasts", async () => {
    await writeRecords(scene.host, key, await scene.manifest());
    assert.match(JSON.stringify(await seen(scene, { on: "path1/disk.qcow2" })), /a move of it to .*path2 has not ended/);
    await scene.take(`path1/${record}`);
    await scene.take(`path2/${record}`);
    const manifest = await manifestOf(scene);
    await scene.write("path2/other");
    await writeSnapshotRecords(scene.host, key, { ...manifest, mirror: { ...manifest.mirror, path: scene.at("path2/other") } });
    assert.match(JSON.stringify(await seen(scene)), /another mirrored snapshot of it lasts/);
  });

  it("is recorded, then prepared, as long as the guest is on the former image", async () => {
    const on = { on: "path1/disk.qcow2", node: "old" };
    const bare = await manifestOf(scene);
    const { is: _, ...file } = bare.file;
    await writeSnapshotRecords(scene.host, key, { ...bare, file, current: bare.former.path }, "source");
    assert.equal((await seen(scene, on)).phase, "recorded");
    await writeSnapshotRecords(scene.host, key, { ...bare, file, current: bare.former.path });
    assert.equal((await seen(scene, on)).phase, "prepared");
  });

  it("is lost where nothing mirrors: cut in this very QEMU, and else since a restart", async () => {
    await write();
    assert.deepEqual(await seen(scene), { phase: "lost", since: "cut" });
    assert.deepEqual(await seen(scene, { node: "again" }), { phase: "lost", since: "restart" });
  });

  for (const [status, phase] of [
    ["running", "mirroring"],
    ["ready", "ready"],
    ["paused", "stalled"],
    ["waiting", "turning"],
    ["concluded", "broken-off"],
  ] as const)
    it(`is ${phase} with a mirror that is ${status}`, async () => {
      await write();
      assert.equal((await seen(scene, { job: { status } })).phase, phase);
    });

  const pivoted = async () => {
    const manifest = await manifestOf(scene);
    return { ...manifest, current: manifest.mirror.path, switched: await scene.identity("path2/mirror") };
  };

  it("is pending on the side that the manifests name together", async () => {
    const before = await write();
    const side = async () => {
      const phase = await seen(scene, { job: { status: "pending" } });
      return phase.phase === "pending" ? phase.current : phase.phase;
    };
    assert.equal(await side(), "source");
    await writeSnapshotRecords(scene.host, key, await pivoted());
    assert.equal(await side(), "destination");
    await writeSnapshotRecords(scene.host, key, before, "source");
    assert.equal(await side(), "source");
  });

  it("is not-let-go where its pivot is recorded and the mirror is as it was, also with its ended job, and by one side alone", async () => {
    await writeSnapshotRecords(scene.host, key, await pivoted());
    for (const job of [undefined, { status: "concluded" as const }]) assert.equal((await seen(scene, job && { job })).phase, "not-let-go");
    await writeSnapshotRecords(scene.host, key, await manifestOf(scene), "source");
    assert.equal((await seen(scene)).phase, "not-let-go");
  });

  it("is a contradiction where its pivot is recorded and the mirror was written to since, or what it was is not", async () => {
    const manifest = await pivoted();
    const { switched: _, ...without } = manifest;
    await writeSnapshotRecords(scene.host, key, without);
    assert.match(JSON.stringify(await seen(scene)), /mirror was written to since/);
    await writeSnapshotRecords(scene.host, key, manifest);
    await scene.write("path2/mirror", "a guest's write");
    assert.match(JSON.stringify(await seen(scene)), /mirror was written to since/);
  });

  it("is pivoted where the guest runs on the mirror", async () => {
    await writeSnapshotRecords(scene.host, key, await pivoted());
    assert.equal((await seen(scene, { on: "path2/mirror", node: nodeNames.targets(key)[0] })).phase, "pivoted");
  });

  it("is a contradiction on an image that is none of its own, which names somebody's overlay", async () => {
    await write();
    await scene.write("path1/theirs");
    const phase = await seen(scene, { on: "path1/theirs", node: "theirs" });
    assert.equal(phase.phase, "contradiction");
  });
});

describe("the manifest of a mirrored snapshot", () => {
  it("is read as it was written, and refused where its names do not fit together", async () => {
    await using scene = await MoveScene.open();
    const manifest = await manifestOf(scene);
    const read = (edit: Partial<SnapshotManifest>, name = record) =>
      parseSnapshotManifest(snapshotManifestText({ ...manifest, ...edit }), `/x/${name}`);
    assert.deepEqual(read({}), manifest);
    assert.deepEqual(read({ current: manifest.mirror.path }).current, manifest.mirror.path);
    const wrong: Partial<SnapshotManifest>[] = [
      { domainId: "another" },
      { qdev: "vdb" },
      { quarantine: "/etc/shadow" },
      { quarantine: `${manifest.quarantine}/x` },
      { current: "/elsewhere" },
      { mirror: { ...manifest.mirror, node: "theirs" } },
      { mirror: { ...manifest.mirror, path: manifest.file.path } },
      { file: { ...manifest.file, path: manifest.former.path } },
    ];
    for (const edit of wrong)
      assert.throws(
        () => read(edit),
        (thrown) => isKind(thrown, "user"),
        JSON.stringify(edit),
      );
    assert.throws(() => read({}, "lm-00000000.manifest.json"));
    assert.throws(() => parseSnapshotManifest("{", "/x"), /Nothing was touched/);
  });
});

describe("the ends of a mirrored snapshot", () => {
  let scene: MoveScene;
  beforeEach(async () => {
    scene = await MoveScene.open();
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  async function ended(
    end: "clear" | "drop" | "tidy" | "setBack",
    { more = {} as Partial<SnapshotManifest>, answers = {} as Answers, phase = "pivoted", spoil = async () => {} } = {},
  ) {
    const manifest = await manifestOf(scene, more);
    await writeSnapshotRecords(scene.host, key, manifest);
    await spoil();
    const { site, asked, view } = siteOf(scene, {}, answers);
    const image = scene.image([["path1/file", "qcow2"]], node);
    const disk = { ...scene.disk({ image }), manifest, wanted: site.disks[0], seen: { phase } } as unknown as RecordedDisk;
    if (end === "clear") await clear(site, disk);
    else if (end === "setBack") await setBack(site, disk);
    else await { drop, tidy }[end](site, { view, disks: [disk] }, disk);
    return { asked, manifest };
  }
  const there = (...names: string[]) => names.map((name) => existsSync(scene.at(name)));
  const isRecorded = () => there(`path1/${record}`, `path2/${record}`);

  it("before it was taken leave neither file nor a manifest", async () => {
    await createImage(scene.host, {
      path: scene.at("path1/file"),
      format: "qcow2",
      options: {},
      virtualBytes: 65536,
      like: scene.at("path1/disk.qcow2"),
    });
    await ended("clear");
    assert.deepEqual([...there("path1/file", "path2/mirror"), ...isRecorded()], [false, false, false, false]);
  });

  it("before it was taken keep files that were there before", async () => {
    await createImage(scene.host, {
      path: scene.at("path1/file"),
      format: "qcow2",
      options: {},
      virtualBytes: 65536,
      like: scene.at("path1/disk.qcow2"),
    });
    const { file, mirror } = await manifestOf(scene);
    await ended("clear", { more: { file: { ...file, made: "before" }, mirror: { ...mirror, made: "before" } } });
    assert.deepEqual(there("path1/file", "path2/mirror"), [true, true]);
  });

  it("touch nothing where QEMU keeps a node of theirs open", async () => {
    const closeNodes = (names: string[]) => names.map((each) => ({ node: each, why: "in use" }));
    await assert.rejects(ended("drop", { answers: { closeNodes } }), /QEMU keeps its node .* \(in use\)/);
    assert.deepEqual([...there("path1/file", "path2/mirror"), ...isRecorded()], [true, true, true, true]);
  });

  it("by an abort drop the mirror and leave the overlay", async () => {
    await ended("drop");
    assert.deepEqual([...there("path1/file", "path2/mirror"), ...isRecorded()], [true, false, false, false]);
    assert.match(scene.told.join(), /stays on .*path1\/file: a boot must use that/);
  });

  it("by an abort leave somebody's file with the mirror's name", async () => {
    await ended("drop", {
      spoil: async () => {
        await scene.move("path2/mirror", "elsewhere");
        await scene.write("path2/mirror", "somebody's");
      },
    });
    assert.equal(await readFile(scene.at("path2/mirror"), "utf8"), "somebody's");
  });

  it("after the pivot rename the overlay, close the former chain but not what is active, and dismiss the job", async () => {
    const { asked, manifest } = await ended("tidy", { more: { formerNodes: [node, "old"] } });
    assert.deepEqual(there("path1/file", "path2/mirror"), [false, true]);
    assert(existsSync(manifest.quarantine));
    assert(asked.includes('closeNodes ["old"]'));
    assert.deepEqual(isRecorded(), [false, false]);
  });

  it("after the pivot leave somebody's file with the overlay's name", async () => {
    const { manifest } = await ended("tidy", {
      spoil: async () => {
        await scene.move("path1/file", "elsewhere");
        await scene.write("path1/file", "somebody's");
      },
    });
    assert(existsSync(scene.at("path1/file")) && !existsSync(manifest.quarantine));
  });

  it("when set back give the overlay its name, and name it as current on both sides", async () => {
    const before = await manifestOf(scene);
    const { manifest } = await ended("setBack", {
      more: { current: before.mirror.path },
      spoil: () => scene.move("path1/file", before.quarantine.slice(scene.folder.length)),
    });
    assert.deepEqual([existsSync(manifest.file.path), existsSync(manifest.quarantine)], [true, false]);
    for (const side of ["path1", "path2"])
      assert.equal(JSON.parse(await readFile(scene.at(`${side}/${record}`), "utf8")).current, manifest.file.path);
  });

  it("when set back need only the overlay's manifest while the guest's I/O waits, and both manifests otherwise", async () => {
    const spoil = () => scene.move("path2", "gone");
    await ended("setBack", { phase: "pending", spoil });
    await scene.move("gone", "path2");
    await assert.rejects(ended("setBack", { spoil }), /Unable to write .*path2/);
  });

  it("begin nothing where the live chain is another one", async () => {
    const manifest = await manifestOf(scene);
    await scene.write("path1/theirs");
    const check = (on: string) => {
      const { site } = siteOf(scene, { on });
      return checkChains(site, [{ ...scene.disk(), manifest } as unknown as RecordedDisk], "file", "pivot");
    };
    await check("path1/file");
    await assert.rejects(check("path1/theirs"), /Nothing was switched; the mirror goes on\. The guest runs on .*path1\/theirs/);
  });
});
