/** The ends of a move: which files are renamed, removed or kept, and in which order. */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { readFile, symlink } from "node:fs/promises";
import { fileNames, nodeNames, standInNames } from "../../../../provider/core/disk/names.js";
import { clear, setBack, tidy } from "../../../../provider/flows/move/steps/endings.js";
import type { Phase } from "../../../../provider/flows/shared/phase.js";
import type { SeenDisk } from "../../../../provider/flows/shared/site.js";
import type { GuestView } from "../../../../provider/hypervisor/hypervisor.js";
import type { Manifest } from "../../../../provider/journal/manifest.js";
import { writeRecords } from "../../../../provider/journal/records.js";
import { type Answers, emptyView } from "../noting-guest.js";
import { aJob, key, MoveScene, type Overlay, overlayName, passingName } from "../scene.js";

const record = fileNames.manifest(key);
const [target] = nodeNames.targets(key);
const [landing] = nodeNames.landings(key);

/** What lies in the two folders, sidecars and all. */
function files(scene: MoveScene): string[] {
  return ["path1", "path2"].flatMap((side) => readdirSync(scene.at(side)).map((name) => `${side}/${name}`)).sort();
}

const away = (scene: MoveScene) => scene.quarantine.slice(scene.folder.length + 1);

interface Ending {
  manifest: Manifest;
  disk?: Partial<SeenDisk>;
  view?: Partial<GuestView>;
  guest?: Answers;
}

async function tidied(scene: MoveScene, { manifest, disk = { standing: "target" }, view, guest }: Ending): Promise<string[]> {
  await writeRecords(scene.host, key, manifest);
  const { site, asked } = scene.site(guest);
  await tidy(site, { view: { ...emptyView, ...view }, disks: [] }, scene.written(manifest, disk), scene.outcome);
  return asked;
}

async function cleared(scene: MoveScene, { manifest, disk = {}, view, guest }: Ending): Promise<string[]> {
  await writeRecords(scene.host, key, manifest);
  const { site, asked } = scene.site(guest);
  await clear(site, { view: { ...emptyView, ...view }, disks: [] }, scene.written(manifest, disk));
  return asked;
}

/** After the pivot of strategy mirror: the former image is in quarantine, the guest on the target. */
async function pivoted(scene: MoveScene, more: Partial<Manifest> = {}): Promise<Manifest> {
  await scene.copied("path2/base.raw");
  await scene.write("path2/disk.qcow2");
  const manifest = await scene.manifest({ current: scene.at("path2/disk.qcow2"), ...more });
  await scene.move("path1/disk.qcow2", away(scene));
  return manifest;
}

describe("a move that is tidied after its switch", () => {
  it("leaves the former image in quarantine and the moved chain, and nothing else of its own", async () => {
    await using scene = await MoveScene.open();
    const manifest = await pivoted(scene);
    for (const name of [
      `path1/${record}.next`,
      `path1/${record}.back`,
      `path2/${record}.next`,
      `path2/${record}.back`,
      `path1/${record}.xml`,
      `path1/${record}.turn`,
    ])
      await scene.write(name);
    for (const name of [fileNames.probe(key), fileNames.newborn(key)]) await scene.write(`path2/${name}`);
    await tidied(scene, { manifest });
    assert.deepEqual(files(scene), [away(scene), "path1/base.raw", "path2/base.raw", "path2/disk.qcow2"].sort());
    assert.deepEqual(scene.outcome.tell("vda")?.left, [
      `${scene.quarantine}: the image that was active before`,
      `${scene.at("path1/base.raw")}: other disks may stand on it`,
    ]);
  });

  it("renames the former image where the switch could not", async () => {
    await using scene = await MoveScene.open();
    const manifest = await pivoted(scene);
    await scene.move(away(scene), "path1/disk.qcow2");
    await tidied(scene, { manifest });
    assert(existsSync(scene.quarantine) && !existsSync(scene.at("path1/disk.qcow2")));
  });

  it("leaves a file alone that has the former image's name and is another one", async () => {
    await using scene = await MoveScene.open();
    const manifest = await pivoted(scene);
    await scene.write("path1/disk.qcow2", "somebody's");
    await tidied(scene, { manifest });
    assert.equal(await readFile(scene.at("path1/disk.qcow2"), "utf8"), "somebody's");
    assert(existsSync(scene.quarantine));
  });

  it("gives the former image its name back where that is kept", async () => {
    await using scene = await MoveScene.open();
    const manifest = await pivoted(scene, { afterwards: "keep" });
    await tidied(scene, { manifest });
    assert.equal(await readFile(scene.at("path1/disk.qcow2"), "utf8"), "path1/disk.qcow2");
    assert(!existsSync(scene.quarantine));
    assert.match(scene.outcome.tell("vda")?.left.join() ?? "", /path1\/disk\.qcow2: the image that was active before/);
  });

  it("leaves a kept image's name as it is where it still has it", async () => {
    await using scene = await MoveScene.open();
    const manifest = await pivoted(scene, { afterwards: "keep" });
    await scene.move(away(scene), "path1/disk.qcow2");
    await tidied(scene, { manifest });
    assert(existsSync(scene.at("path1/disk.qcow2")) && !existsSync(scene.quarantine));
  });

  it("deletes the former image where that is wanted, and no other file in its quarantine", async () => {
    await using scene = await MoveScene.open();
    await tidied(scene, { manifest: await pivoted(scene, { afterwards: "delete" }) });
    assert.deepEqual(files(scene), ["path1/base.raw", "path2/base.raw", "path2/disk.qcow2"]);
    await using other = await MoveScene.open();
    const manifest = await pivoted(other, { afterwards: "delete" });
    await other.move(away(other), "path1/elsewhere");
    await other.write(away(other), "somebody's");
    await tidied(other, { manifest });
    assert.equal(await readFile(other.quarantine, "utf8"), "somebody's");
  });

  it("takes its stand-in from the former image's name, and leaves somebody's link there", async () => {
    await using scene = await MoveScene.open();
    const manifest = await pivoted(scene, { afterwards: "keep" });
    const { empty } = standInNames(scene.quarantine);
    await scene.write(empty.slice(scene.folder.length), "");
    await symlink(empty.slice(scene.at("path1").length + 1), scene.at("path1/disk.qcow2"));
    await tidied(scene, { manifest });
    assert.equal(await readFile(scene.at("path1/disk.qcow2"), "utf8"), "path1/disk.qcow2");
    assert(!existsSync(empty));
    await using other = await MoveScene.open();
    const theirs = await pivoted(other);
    await symlink("elsewhere", other.at("path1/disk.qcow2"));
    await tidied(other, { manifest: theirs });
    assert.equal(readlinkSync(other.at("path1/disk.qcow2")), "elsewhere");
  });

  it("points its link at the destination where that still says what it said before, and leaves another decision alone", async () => {
    for (const [says, becomes] of [
      ["path1", "path2"],
      ["elsewhere", "elsewhere"],
    ] as const) {
      await using scene = await MoveScene.open();
      await symlink(scene.at(says), scene.at("link"));
      await tidied(scene, { manifest: await pivoted(scene, { link: { path: scene.at("link"), before: scene.at("path1") } }) });
      assert.equal(readlinkSync(scene.at("link")), scene.at(becomes));
      assert.deepEqual(
        readdirSync(scene.folder).filter((name) => name.startsWith("link")),
        ["link"],
      );
    }
  });

  it("closes what the guest stood on, but nothing that the live chain has", async () => {
    await using scene = await MoveScene.open();
    const manifest = await pivoted(scene, { formerNodes: ["vda-old", "vda-base", "live"] });
    const nodes = [{ name: "live", driver: "raw", file: scene.at("path1/base.raw") }];
    const asked = await tidied(scene, { manifest, view: { nodes } });
    assert.deepEqual(asked[0], `closeNodes ["vda-old","vda-base"]`);
  });

  it("tells of a node that QEMU keeps", async () => {
    await using scene = await MoveScene.open();
    const manifest = await pivoted(scene, { formerNodes: ["vda-old"] });
    await tidied(scene, {
      manifest,
      guest: { closeNodes: (names: string[]) => names.filter((node) => node === "vda-old").map((node) => ({ node, why: "in use" })) },
    });
    assert(scene.outcome.tell("vda")?.left.includes("node vda-old: in use"));
  });

  it("keeps a layer that other disks' moves stand on, with its sidecar, and takes this disk's move off it", async () => {
    await using scene = await MoveScene.open();
    const manifest = await pivoted(scene);
    await scene.copied("path2/base.raw", { more: { moving: [key, "ffffffff"] } });
    await tidied(scene, { manifest });
    const sidecar = await readFile(scene.at("path2/base.raw.lm-layer"), "utf8");
    assert.match(sidecar, /^user ffffffff\nkept [0-9a-f]{8}\nend$/m);
  });

  it("leaves an adopted layer's sidecar alone", async () => {
    await using scene = await MoveScene.open();
    await pivoted(scene);
    await scene.move(away(scene), "path1/disk.qcow2");
    const adopted = await scene.manifest({
      current: scene.at("path2/disk.qcow2"),
      layers: [await scene.layer({ coming: "adopt", adopted: await scene.identity("path2/base.raw") })],
    });
    await tidied(scene, { manifest: adopted });
    assert(existsSync(scene.at("path2/base.raw.lm-layer")));
  });

  it("removes the last manifest as its caller says, after everything else is gone", async () => {
    await using scene = await MoveScene.open();
    const manifest = await pivoted(scene);
    await writeRecords(scene.host, key, manifest);
    const left: string[] = [];
    const { site } = scene.site();
    await tidy(
      site,
      { view: emptyView, disks: [] },
      scene.written(manifest, { standing: "target" }),
      scene.outcome,
      async (path) => void left.push(path, ...files(scene)),
    );
    assert.deepEqual(left, [
      scene.at(`path2/${record}`),
      ...[away(scene), "path1/base.raw", "path2/base.raw", "path2/disk.qcow2", `path2/${record}`].sort(),
    ]);
  });
});

/** The guest runs on the landed image, into which the target was committed. */
async function collapsed(scene: MoveScene, more: Partial<Overlay> = {}): Promise<Manifest> {
  await scene.copied("path2/base.raw");
  await scene.copied("path2/disk.qcow2");
  await scene.write(`path2/${overlayName}`);
  const manifest = await scene.frozen("commit", { current: scene.at("path2/disk.qcow2") }, { committed: "destination", ...more });
  await scene.move("path1/disk.qcow2", away(scene));
  return { ...manifest, destination: { ...manifest.destination, file: await scene.which(`path2/${overlayName}`) } };
}

describe("a move with an overlay that is tidied", () => {
  it("leaves neither the overlay nor its other half once that is committed down", async () => {
    await using scene = await MoveScene.open();
    const asked = await tidied(scene, { manifest: await collapsed(scene), disk: { standing: "landing" } });
    assert.deepEqual(files(scene), [away(scene), "path1/base.raw", "path2/base.raw", "path2/disk.qcow2"].sort());
    assert.equal(asked[0], `closeNodes ["${nodeNames.overlay(key)}","${target}"]`);
  });

  it("keeps the overlay's other half as long as it is not recorded to be committed", async () => {
    await using scene = await MoveScene.open();
    const { committed: _, ...overlay } = (await collapsed(scene)).overlay ?? assert.fail();
    await scene.move(away(scene), "path1/disk.qcow2");
    const manifest = { ...(await collapsed(scene)), overlay };
    await tidied(scene, { manifest, disk: { standing: "landing" } });
    assert(existsSync(scene.at(`path2/${overlayName}`)));
  });

  it("keeps the overlay's other half as long as the guest runs on it", async () => {
    await using scene = await MoveScene.open();
    const asked = await tidied(scene, { manifest: await collapsed(scene), disk: { standing: "target" } });
    assert(existsSync(scene.at(`path2/${overlayName}`)));
    assert.equal(asked[0], `closeNodes ["${nodeNames.overlay(key)}"]`);
  });

  it("keeps files that QEMU keeps open", async () => {
    for (const [kept, file] of [
      [nodeNames.overlay(key), `path1/${overlayName}`],
      [target, `path2/${overlayName}`],
    ] as const) {
      await using scene = await MoveScene.open();
      const closeNodes = (names: string[]) => names.filter((node) => node === kept).map((node) => ({ node, why: "in use" }));
      await tidied(scene, { manifest: await collapsed(scene), disk: { standing: "landing" }, guest: { closeNodes } });
      assert(existsSync(scene.at(file)), file);
    }
  });

  it("removes no overlay that `current` names", async () => {
    await using scene = await MoveScene.open();
    const manifest = await collapsed(scene);
    await tidied(scene, { manifest: { ...manifest, current: scene.at(`path1/${overlayName}`) }, disk: { standing: "overlay" } });
    assert(existsSync(scene.at(`path1/${overlayName}`)));
  });

  it("removes no file with the overlay's name that is another one, and one that was not recorded as made", async () => {
    await using scene = await MoveScene.open();
    const manifest = await collapsed(scene);
    await scene.move(`path1/${overlayName}`, "path1/elsewhere");
    await scene.write(`path1/${overlayName}`, "somebody's");
    await tidied(scene, { manifest, disk: { standing: "landing" } });
    assert(existsSync(scene.at(`path1/${overlayName}`)));
    await using other = await MoveScene.open();
    const { made: _, ...overlay } = (await collapsed(other)).overlay ?? assert.fail();
    await other.move(away(other), "path1/disk.qcow2");
    await tidied(other, { manifest: { ...(await collapsed(other)), overlay }, disk: { standing: "landing" } });
    assert(!existsSync(other.at(`path1/${overlayName}`)));
  });

  it("removes the copied layer that a pull has taken up, and no other layer", async () => {
    await using scene = await MoveScene.open();
    await scene.copied("path2/base.raw");
    await scene.copied(`path2/${passingName}`);
    await scene.write("path2/disk.qcow2");
    const manifest = await scene.frozen("pull", { current: scene.at("path2/disk.qcow2") });
    await scene.move("path1/disk.qcow2", away(scene));
    await tidied(scene, { manifest, disk: { standing: "target" } });
    assert.deepEqual(files(scene), [away(scene), "path1/base.raw", "path2/base.raw", "path2/disk.qcow2"].sort());
  });
});

describe("a move that is undone before its switch", () => {
  it("leaves the source's exact chain, and nothing of its own at the destination", async () => {
    await using scene = await MoveScene.open();
    await scene.copied("path2/base.raw");
    await scene.write("path2/disk.qcow2");
    await scene.write(`path2/${fileNames.newborn(key)}`);
    const asked = await cleared(scene, { manifest: await scene.manifest() });
    assert.deepEqual(files(scene), ["path1/base.raw", "path1/disk.qcow2"]);
    assert.equal(asked[0], `closeNodes ["${target}"]`);
  });

  it("keeps a target that is not the file which it made, and the manifests with it", async () => {
    await using scene = await MoveScene.open();
    await scene.write("path2/disk.qcow2");
    const manifest = await scene.manifest();
    await scene.move("path2/disk.qcow2", "path2/elsewhere");
    await scene.write("path2/disk.qcow2", "somebody's");
    await assert.rejects(
      cleared(scene, { manifest }),
      /path2\/disk\.qcow2 is not the file that this move made there\. The guest runs on .*path1\/disk\.qcow2, as before/,
    );
    assert.equal(await readFile(scene.at("path2/disk.qcow2"), "utf8"), "somebody's");
    for (const side of ["path1", "path2"]) assert(existsSync(scene.at(`${side}/${record}`)));
  });

  it("keeps a target of which it is not recorded that it was made", async () => {
    await using scene = await MoveScene.open();
    const manifest = await scene.manifest();
    await scene.write("path2/disk.qcow2", "somebody's");
    await assert.rejects(cleared(scene, { manifest }), /is not the file that this move made/);
    assert(existsSync(scene.at("path2/disk.qcow2")));
  });

  it("keeps an adopted layer, and one that other disks stand on", async () => {
    await using scene = await MoveScene.open();
    await scene.copied("path2/base.raw", { more: { moving: [key, "ffffffff"] } });
    await cleared(scene, { manifest: await scene.manifest() });
    assert.match(await readFile(scene.at("path2/base.raw.lm-layer"), "utf8"), /^user ffffffff\nend$/m);
    await using adopted = await MoveScene.open();
    await adopted.copied("path2/base.raw");
    await cleared(adopted, {
      manifest: await adopted.manifest({
        layers: [await adopted.layer({ coming: "adopt", adopted: await adopted.identity("path2/base.raw") })],
      }),
    });
    assert(existsSync(adopted.at("path2/base.raw")));
  });

  it("removes its overlay, and closes its nodes and what a start has named the overlay", async () => {
    await using scene = await MoveScene.open();
    const manifest = await scene.frozen("commit", { current: scene.at("path1/disk.qcow2"), formerNodes: ["strange"] });
    const asked = await cleared(scene, { manifest });
    assert.deepEqual(files(scene), ["path1/base.raw", "path1/disk.qcow2"]);
    assert.equal(asked[0], `closeNodes ["${target}","${landing}","${nodeNames.overlay(key)}","strange"]`);
  });

  it("removes the manifest beside the source last", async () => {
    await using scene = await MoveScene.open();
    const manifest = await scene.manifest();
    await writeRecords(scene.host, key, manifest);
    const left: string[] = [];
    const { site } = scene.site();
    await clear(site, { view: emptyView, disks: [] }, scene.written(manifest), async (path) => void left.push(path, ...files(scene)));
    assert.deepEqual(left, [scene.at(`path1/${record}`), ...["path1/base.raw", "path1/disk.qcow2", `path1/${record}`].sort()]);
  });
});

describe("what is written down of a switch that was not made", () => {
  const pendingPhase: Phase = { phase: "pending", job: aJob, current: "source" };
  const back = async (scene: MoveScene, manifest: Manifest, disk: Partial<SeenDisk> = {}) => {
    const { site } = scene.site();
    await setBack(site, scene.disk({ seen: { phase: "not-let-go" }, ...disk }), manifest);
  };
  const said = async (scene: MoveScene, side: string) => JSON.parse(await readFile(scene.at(`${side}/${record}`), "utf8"));

  it("is set back on both sides, with the former image's name and the link", async () => {
    await using scene = await MoveScene.open();
    await symlink(scene.at("path2"), scene.at("link"));
    const manifest = await pivoted(scene, {
      link: { path: scene.at("link"), before: scene.at("path1") },
      switched: { dev: "1", ino: "1", sizeBytes: 1, modified: "1" },
    });
    await writeRecords(scene.host, key, manifest);
    await back(scene, manifest);
    for (const side of ["path1", "path2"]) {
      const { current, switched } = await said(scene, side);
      assert.deepEqual([current, switched], [scene.at("path1/disk.qcow2"), undefined]);
    }
    assert.equal(readlinkSync(scene.at("link")), scene.at("path1"));
    assert.equal(await readFile(scene.at("path1/disk.qcow2"), "utf8"), "path1/disk.qcow2");
  });

  it("leaves a file alone that has the former image's name, and one in quarantine that is another", async () => {
    await using scene = await MoveScene.open();
    const manifest = await pivoted(scene);
    await scene.write("path1/disk.qcow2", "somebody's");
    await back(scene, manifest);
    assert.equal(await readFile(scene.at("path1/disk.qcow2"), "utf8"), "somebody's");
    await using other = await MoveScene.open();
    const theirs = await pivoted(other);
    await other.move(away(other), "path1/elsewhere");
    await other.write(away(other), "somebody's");
    await back(other, theirs);
    assert(!existsSync(other.at("path1/disk.qcow2")));
  });

  it("takes its stand-in from the former image's name", async () => {
    await using scene = await MoveScene.open();
    const manifest = await pivoted(scene);
    const { empty } = standInNames(scene.quarantine);
    await symlink(empty.slice(scene.at("path1").length + 1), scene.at("path1/disk.qcow2"));
    await back(scene, manifest);
    assert.equal(await readFile(scene.at("path1/disk.qcow2"), "utf8"), "path1/disk.qcow2");
  });

  it("is set back to the target, and no name of the source is touched, where the guest runs there", async () => {
    await using scene = await MoveScene.open();
    await symlink(scene.at("path2"), scene.at("link"));
    const manifest = { ...(await collapsed(scene)), link: { path: scene.at("link"), before: scene.at("path1") } };
    await back(scene, manifest, { standing: "target" });
    const { current, overlay } = await said(scene, "path1");
    assert.deepEqual([current, overlay.committed], [scene.at(`path2/${overlayName}`), undefined]);
    assert(existsSync(scene.quarantine) && !existsSync(scene.at("path1/disk.qcow2")));
    assert.equal(readlinkSync(scene.at("link")), scene.at("path1")); // with collapse commit it moves only then
  });

  it("keeps the link where it moves with another switch than the one that is set back", async () => {
    await using scene = await MoveScene.open();
    await symlink(scene.at("path2"), scene.at("link"));
    const manifest = { ...(await collapsed(scene)), link: { path: scene.at("link"), before: scene.at("path1") } };
    await back(scene, manifest, { standing: "overlay" });
    assert.equal(readlinkSync(scene.at("link")), scene.at("path2"));
  });

  it("tells of a landed image that it holds the overlay's content, and of no other", async () => {
    await using scene = await MoveScene.open();
    const manifest = await collapsed(scene, {});
    await back(scene, manifest, { standing: "landing" });
    assert.equal((await said(scene, "path2")).overlay.committed, "destination");
    await back(scene, manifest, { standing: "overlay" });
    assert.equal((await said(scene, "path2")).overlay.committed, undefined);
  });

  it("is enough beside the source while the guest's I/O waits, and else not", async () => {
    await using scene = await MoveScene.open();
    const manifest = await pivoted(scene);
    await scene.move("path2", "gone");
    await back(scene, manifest, { seen: pendingPhase });
    assert.equal((await said(scene, "path1")).current, scene.at("path1/disk.qcow2"));
    await assert.rejects(back(scene, manifest), /Unable to write .*path2/);
  });
});
