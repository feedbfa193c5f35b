/** Manifests that were moved, copied or brought back: what they tell is not what has become of the move. */

import assert from "node:assert/strict";
import { copyFile, mkdir, rename, rm } from "node:fs/promises";
import { fileNames } from "../../provider/core/disk/names.js";
import { isKind } from "../../provider/core/errors.js";
import { raised, refuseBroughtBack, withLowerOf } from "../../provider/journal/generation.js";
import { readRecords, writeDestinationRecord, writeRecords, writeSourceRecord } from "../../provider/journal/records.js";
import { key, MoveScene } from "../flows/move/scene.js";

const name = fileNames.manifest(key);
const move = { goal: "the move", hostName: "here" };
const says = (words: RegExp) => (thrown: unknown) => isKind(thrown, "user") && words.test(thrown.message);

describe("the generation of a manifest", () => {
  const of = (generation: number | undefined, path = "/a/m") => ({ disk: "vda", path, ...(generation && { generation }) });

  it("is raised by each write of both sides, and not made up where 0.1.0 has begun", () => {
    assert.deepEqual([raised(of(3)).generation, raised(of(undefined)).generation], [4, undefined]);
  });

  it("goes on from the lower one, so that runs which cannot write one side do not drive them apart", () => {
    assert.deepEqual(
      [withLowerOf(of(5), of(4)).generation, withLowerOf(of(4), of(5)).generation, withLowerOf(of(4), of(undefined)).generation],
      [4, 4, 4],
    );
  });

  it("may differ by the one step that was cut", () => {
    for (const [one, two] of [
      [4, 4],
      [5, 4],
      [4, 5],
      [undefined, 9],
    ] as const)
      refuseBroughtBack(move, of(one), of(two));
  });

  it("tells which manifest was brought back, whichever it is", () => {
    const [newer, older] = [of(9, "/new/m"), of(3, "/old/m")];
    for (const pair of [[newer, older] as const, [older, newer] as const])
      assert.throws(
        () => refuseBroughtBack(move, ...pair),
        says(
          /move of vda on here: the manifest \/old\/m is 6 steps older than \/new\/m.*brought it back\. Nothing was touched\. .*copy \/new\/m over it/,
        ),
      );
  });
});

describe("a manifest", () => {
  const read = (made: MoveScene, ...sides: string[]) =>
    readRecords(
      made.host,
      key,
      sides.map((side) => made.at(side)),
    );

  it("that was written by one step less than its twin is gone on with, from the lower generation", async () => {
    await using made = await MoveScene.open();
    const manifest = await made.manifest({ generation: 1 });
    await writeRecords(made.host, key, manifest);
    await writeSourceRecord(made.host, key, { ...manifest, generation: 3 });
    assert.deepEqual(await read(made, "path1"), { manifest: { ...manifest, generation: 2 }, sides: "both" });
  });

  it("that was brought back is refused", async () => {
    await using made = await MoveScene.open();
    const manifest = await made.manifest({ generation: 7 });
    await writeRecords(made.host, key, manifest);
    await writeDestinationRecord(made.host, key, { ...manifest, generation: 2 });
    await assert.rejects(read(made, "path1"), says(/path2\/\S+ is 6 steps older than \S+path1/));
  });

  it("that lies in neither of its places is refused, and where both are gone by then there is none", async () => {
    await using made = await MoveScene.open();
    await writeSourceRecord(made.host, key, await made.manifest());
    await mkdir(made.at("elsewhere"));
    await rename(made.at(`path1/${name}`), made.at(`elsewhere/${name}`));
    await assert.rejects(
      read(made, "elsewhere"),
      says(/belongs at \S+path1\/\S+ or \S+path2\/\S+, where none is, so somebody has moved it\. Nothing/),
    );
    assert.equal(await read(made, "path1", "path2"), undefined);
  });

  it("of the source that was copied with its directory is refused there", async () => {
    await using made = await MoveScene.open();
    await writeSourceRecord(made.host, key, await made.manifest());
    await rename(made.at("path1"), made.at("original"));
    await mkdir(made.at("path1"));
    await copyFile(made.at(`original/${name}`), made.at(`path1/${name}`));
    await assert.rejects(read(made, "path1"), says(/path1 on here is another directory than the one in which the manifest .* was written/));
    await rm(made.at("path1"), { recursive: true });
    await rename(made.at("original"), made.at("path1"));
    assert.equal((await read(made, "path1"))?.sides, "source");
  });

  it("of 0.1.0 tells neither, and is gone on with", async () => {
    await using made = await MoveScene.open();
    const { directories: _, ...manifest } = await made.manifest();
    await writeRecords(made.host, key, manifest);
    await rename(made.at("path1"), made.at("original"));
    await mkdir(made.at("path1"));
    await copyFile(made.at(`original/${name}`), made.at(`path1/${name}`));
    assert.deepEqual(await read(made, "path1"), { manifest, sides: "both" });
  });
});
