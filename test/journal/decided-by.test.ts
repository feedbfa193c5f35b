/** `current` in a switch: which of two images it is, by the link or by the switch record, and what the manifests say then. */

import assert from "node:assert/strict";
import { symlink, writeFile } from "node:fs/promises";
import { fileNames } from "../../provider/core/disk/names.js";
import { isKind } from "../../provider/core/errors.js";
import { committedTo } from "../../provider/flows/shared/disk-switches.js";
import type { SwitchSide, Undecided } from "../../provider/journal/decided-by.js";
import { decidedAs, type Manifest, manifestText, parseManifest, pathOf, type WrittenManifest } from "../../provider/journal/manifest.js";
import { readRecords, writeRecords } from "../../provider/journal/records.js";
import { dropSwitchRecord, prepareSwitchRecord } from "../../provider/journal/switch-record.js";
import { key, MoveScene, overlayName } from "../flows/move/scene.js";

const name = fileNames.manifest(key);
const record = fileNames.switchRecord(key);

let scene: MoveScene;

async function written(
  manifest: Manifest,
  decidedBy: Undecided["decidedBy"],
  after = pathOf(manifest, "target"),
): Promise<WrittenManifest> {
  const path = decidedBy === "link" ? scene.at("link") : scene.at(`path1/${record}`);
  const of = (image: string) => scene.identity(image.slice(scene.folder.length));
  const pending = { before: await of(manifest.current), after: await of(after) };
  return { ...manifest, current: { decidedBy, path, before: manifest.current, after }, pending };
}

async function write(manifest: WrittenManifest, ...sides: string[]): Promise<void> {
  for (const side of sides.length > 0 ? sides : ["path1", "path2"]) await writeFile(scene.at(`${side}/${name}`), manifestText(manifest));
}

const read = () => readRecords(scene.host, key, [scene.at("path1")]);

describe("the manifests in a switch", () => {
  beforeEach(async () => {
    scene = await MoveScene.open();
    await scene.write("path2/disk.qcow2");
  });
  afterEach(() => scene[Symbol.asyncDispose]());
  const linked = () => scene.manifest({ link: { path: scene.at("link"), before: scene.at("path1") } });

  for (const [what, leadsTo, decided] of [
    ["as it did before", "path1", "before"],
    ["where it shall lead", "path2", "after"],
    ["to the source, spelled otherwise", "path2/../path1/", "before"],
    ["to the destination, spelled otherwise", "path1/../path2/.", "after"],
  ] as const)
    it(`have the image ${decided} it as current where the link leads ${what}`, async () => {
      const manifest = await linked();
      await write(await written(manifest, "link"));
      await symlink(`${scene.folder}/${leadsTo}`, scene.at("link"));
      const found = await read();
      assert.equal(found?.manifest.current, decided === "after" ? pathOf(manifest, "target") : manifest.current);
      assert.equal(found?.cut?.decided, decided);
      assert.equal(found?.further, undefined);
    });

  for (const [file, decided] of [
    [`${record}.next`, "before"],
    [record, "after"],
  ] as const)
    it(`have the image ${decided} it as current where the switch record is called ${file}`, async () => {
      const manifest = await scene.manifest();
      await write(await written(manifest, "switch-record"));
      await scene.write(`path1/${file}`);
      const found = await read();
      assert.equal(found?.manifest.current, decided === "after" ? pathOf(manifest, "target") : manifest.current);
      assert.equal(found?.cut?.decided, decided);
    });

  for (const [by, wrong] of [
    ["link", /the link .*link leads to neither, which decides\. Nothing was touched\. Point the link/],
    ["switch-record", /neither .*\.switch\.json nor .*\.next is there, which decides\. Nothing was touched\. Create/],
  ] as const)
    it(`are no answer where the ${by} does not tell: nothing is concluded from its absence`, async () => {
      await write(await written(await linked(), by));
      if (by === "link") {
        await assert.rejects(read(), (thrown) => isKind(thrown, "user") && wrong.test(thrown.message));
        await symlink(scene.at("elsewhere"), scene.at("link"));
      }
      await assert.rejects(read(), (thrown) => isKind(thrown, "user") && wrong.test(thrown.message));
    });

  for (const side of ["path1", "path2"] as const)
    it(`tell of the switch where ${side} alone is written, and say what both said before`, async () => {
      const manifest = await scene.manifest();
      await writeRecords(scene.host, key, manifest);
      await write(await written(manifest, "switch-record"), side);
      await scene.write(`path1/${record}.next`);
      const found = await read();
      assert.deepEqual([found?.manifest, found?.sides, found?.cut?.decided, found?.further], [manifest, "both", "before", undefined]);
    });

  it("once decided say what they would say without a switch, and with the target's size only after it", async () => {
    const manifest = await scene.manifest();
    const of = await written(manifest, "switch-record");
    assert.deepEqual(decidedAs(of, "before"), manifest);
    assert.deepEqual(decidedAs(of, "after"), { ...manifest, current: pathOf(manifest, "target"), switched: of.pending?.after });
    assert.deepEqual(decidedAs(manifest, "after"), manifest);
  });

  for (const side of ["before", "after"] as const satisfies SwitchSide[])
    it(`${side} the end of a commit ${side === "after" ? "record" : "do not record"} where the overlay's content is`, async () => {
      await scene.write(`path2/${overlayName}`);
      const manifest = { ...(await scene.frozen("commit")), current: scene.at(`path2/${overlayName}`) };
      const of = await written(committedTo(manifest, "destination"), "switch-record", pathOf(manifest, "landing"));
      const { current, overlay } = decidedAs(of, side);
      assert.deepEqual(
        [current, overlay?.committed],
        side === "after" ? [pathOf(manifest, "landing"), "destination"] : [manifest.current, undefined],
      );
    });

  it("are refused where what decides, an image or a size is not that of a switch", async () => {
    const of = await written(await linked(), "link");
    const path = scene.at(`path1/${name}`);
    const { current, pending } = of;
    assert(typeof current === "object" && pending);
    assert.deepEqual(parseManifest(manifestText(of), path), of);
    const { pending: _, ...unmeasured } = of;
    for (const [what, wrong] of Object.entries({
      "another link": { ...of, current: { ...current, path: scene.at("other") } },
      "a record that is none": { ...of, current: { ...current, decidedBy: "switch-record", path: scene.at("path1/disk.qcow2") } },
      "an image of another disk": { ...of, current: { ...current, after: scene.at("path2/other") } },
      "one image": { ...of, current: { ...current, after: current.before } },
      "no sizes": unmeasured,
      "sizes without a switch": { ...of, current: current.before },
    }))
      assert.throws(() => parseManifest(JSON.stringify(wrong), path), /Unable to read the manifest/, what);
  });
});

describe("a switch record", () => {
  beforeEach(async () => {
    scene = await MoveScene.open();
    await scene.write("path2/disk.qcow2");
  });
  afterEach(() => scene[Symbol.asyncDispose]());
  const path = () => scene.at(`path1/${record}`);
  const there = async () => (await read())?.cut?.decided;

  it("that an earlier switch has left does not decide the next one", async () => {
    await scene.write(`path1/${record}`);
    await prepareSwitchRecord(scene.host, path(), []);
    await write(await written(await scene.manifest(), "switch-record"));
    assert.equal(await there(), "before");
  });

  it("stays as long as the manifest of any of its disks refers to it", async () => {
    const manifests = [scene.at(`path1/${name}`), scene.at("path1/gone")];
    await prepareSwitchRecord(scene.host, path(), manifests);
    await scene.move(`path1/${record}.next`, `path1/${record}`);
    await write(await written(await scene.manifest(), "switch-record"));
    await dropSwitchRecord(scene.host, path());
    assert.equal(await there(), "after");
    await writeRecords(scene.host, key, await scene.manifest());
    await dropSwitchRecord(scene.host, path());
    await dropSwitchRecord(scene.host, path());
    await write(await written(await scene.manifest(), "switch-record"));
    await assert.rejects(read(), /neither .* is there/);
  });
});
