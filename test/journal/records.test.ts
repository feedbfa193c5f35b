/** The manifests on the host: read from both sides, written to both, and which of two that differ counts. */

import assert from "node:assert/strict";
import { chmod, readdir, readFile, stat } from "node:fs/promises";
import { fileNames } from "../../provider/core/disk/names.js";
import { isKind } from "../../provider/core/errors.js";
import { remembering } from "../../provider/host/remembering.js";
import { correctBoth } from "../../provider/journal/corrected.js";
import { type Manifest, manifestText } from "../../provider/journal/manifest.js";
import { readManifestText } from "../../provider/journal/manifest-text.js";
import { readRecords, removeRecords, writeDestinationRecord, writeRecords, writeSourceRecord } from "../../provider/journal/records.js";
import { readSnapshotMark, snapshotLasts } from "../../provider/journal/snapshot-mark.js";
import { key, MoveScene } from "../flows/move/scene.js";

const name = fileNames.manifest(key);

async function scene(): Promise<MoveScene> {
  const made = await MoveScene.open();
  await made.write("path2/disk.qcow2");
  return made;
}

const read = (made: MoveScene, ...sides: string[]) =>
  readRecords(
    made.host,
    key,
    sides.map((side) => made.at(side)),
  );
const text = (made: MoveScene, side: string) => readFile(made.at(`${side}/${name}`), "utf8");

describe("the manifests of a move", () => {
  it("are written whole to both sides, for all to read, and nothing else stays", async () => {
    await using made = await scene();
    const manifest = await made.manifest();
    await writeRecords(made.host, key, manifest);
    for (const side of ["path1", "path2"]) {
      assert.equal(await text(made, side), manifestText(manifest));
      assert.equal((await stat(made.at(`${side}/${name}`))).mode & 0o777, 0o644);
      assert.equal((await readdir(made.at(side))).filter((each) => each.includes(".new")).length, 0);
    }
  });

  it("are found from either side, as what both say", async () => {
    await using made = await scene();
    const manifest = await made.manifest();
    await writeRecords(made.host, key, manifest);
    for (const side of ["path1", "path2"]) assert.deepEqual(await read(made, side), { manifest, sides: "both" });
    assert.deepEqual(await read(made, "none", "path2"), { manifest, sides: "both" });
  });

  it("are not there where no directory has one", async () => {
    await using made = await scene();
    assert.equal(await read(made, "path1", "path2"), undefined);
  });

  it("tell which side alone has one", async () => {
    await using made = await scene();
    const manifest = await made.manifest();
    await writeSourceRecord(made.host, key, manifest);
    assert.deepEqual(await read(made, "path1"), { manifest, sides: "source" });
    await removeRecords(made.host, key, manifest, "source");
    await writeDestinationRecord(made.host, key, manifest);
    assert.deepEqual(await read(made, "path2"), { manifest, sides: "destination" });
  });

  for (const [earlier, later] of [
    ["source", "destination"],
    ["destination", "source"],
  ] as const)
    it(`count as the one that tells of fewer switches, be that the ${earlier}'s`, async () => {
      await using made = await scene();
      const before = await made.manifest();
      const after = { ...before, current: before.destination.target };
      const write = { source: writeSourceRecord, destination: writeDestinationRecord };
      await write[earlier](made.host, key, before);
      await write[later](made.host, key, after);
      assert.deepEqual(await read(made, "path1"), { manifest: before, sides: "both", further: after });
    });

  for (const [what, other] of [
    ["began at another time", (manifest: Manifest) => ({ ...manifest, startedAt: "y" })],
    [
      "goes elsewhere",
      (manifest: Manifest) => {
        const active = manifest.destination.active.replace("disk.qcow2", "lm-x");
        return { ...manifest, destination: { ...manifest.destination, active, target: active } };
      },
    ],
  ] as const)
    it(`are refused where the other side's move ${what}`, async () => {
      await using made = await scene();
      const manifest = await made.frozen("commit");
      const differing =
        what === "goes elsewhere"
          ? { ...manifest, destination: { ...manifest.destination, active: manifest.destination.target } }
          : other(manifest);
      await writeSourceRecord(made.host, key, manifest);
      await writeDestinationRecord(made.host, key, differing);
      await assert.rejects(
        read(made, "path1"),
        (thrown) => isKind(thrown, "user") && /tell of two different moves\. Nothing was touched/.test(thrown.message),
      );
    });

  const refused = /Unable to read the manifest .*path1.* Nothing was touched/;

  it("that a power cut has left without their end, as 0.1.0 wrote it, are what they were before the switch", async () => {
    await using made = await scene();
    const manifest = await made.manifest();
    await writeRecords(made.host, key, manifest);
    const switched = { dev: "1", ino: "2", sizeBytes: 3, modified: "4.0" };
    const torn = manifestText({ ...manifest, current: manifest.destination.target, switched });
    await made.write(`path1/${name}`, torn.slice(0, torn.lastIndexOf('"sizeBytes"')));
    await assert.rejects(read(made, "path1"), refused);
    await made.write(`path1/${name}.back`, manifestText(manifest));
    assert.deepEqual(await read(made, "path1"), { manifest, sides: "both" });
    await made.write(`path1/${name}.back`, manifestText({ ...manifest, startedAt: "before" }));
    await assert.rejects(read(made, "path1"), refused);
  });

  for (const [title, change] of [
    ["whole, and of a newer version", (text: string) => text.replace('"version": 1', '"version": 2')],
    ["cut anywhere else", (text: string) => text.slice(0, 200)],
    ["empty", () => ""],
  ] as const)
    it(`that cannot be read are refused where they are ${title}, whatever an earlier switch has left beside them`, async () => {
      await using made = await scene();
      const manifest = await made.manifest();
      await writeRecords(made.host, key, manifest);
      await made.write(`path1/${name}.back`, manifestText(manifest));
      await made.write(`path1/${name}`, change(manifestText(manifest)));
      await assert.rejects(read(made, "path1"), refused);
    });

  it("of a mirrored snapshot are none of a move's, and are told", async () => {
    await using made = await scene();
    const there = `{ "kind": "mirrored-snapshot", "file": {"path": "/a"}, "mirror": {"path": "/b"} }`;
    await made.write(`path2/${name}`, there);
    assert.equal(await read(made, "path1", "path2"), undefined);
    const mark = await readSnapshotMark(made.host, key, [made.at("path1"), made.at("path2")]);
    assert.deepEqual(mark, { file: "/a", mirror: "/b" });
    assert.match(snapshotLasts({ file: "/a", mirror: "/b" }), /in a mirrored snapshot \(\/a, mirrored to \/b\)\. End that first/);
    await made.write(`path2/${name}`, there.slice(0, 40));
    assert.deepEqual(await readSnapshotMark(made.host, key, [made.at("path2")]), {
      file: made.at(`path2/${name}`),
      mirror: made.at(`path2/${name}`),
    });
    assert.equal(await readSnapshotMark(made.host, key, [made.at("path1")]), undefined);
  });

  it("of a move are no mirrored snapshot's", async () => {
    await using made = await scene();
    await writeRecords(made.host, key, await made.manifest());
    assert.equal(await readSnapshotMark(made.host, key, [made.at("path1")]), undefined);
  });

  for (const [active, last] of [
    ["source", "path1"],
    ["destination", "path2"],
  ] as const)
    it(`go, the one beside the active image at the ${active} last, and as its caller says`, async () => {
      await using made = await scene();
      const manifest = await made.manifest();
      await writeRecords(made.host, key, manifest);
      const left: string[] = [];
      await removeRecords(made.host, key, manifest, active, async (path) => {
        left.push(path);
        for (const side of ["path1", "path2"]) if ((await readdir(made.at(side))).includes(name)) left.push(side);
      });
      assert.deepEqual(left, [made.at(`${last}/${name}`), last]);
      await removeRecords(made.host, key, manifest, active);
      for (const side of ["path1", "path2"]) assert(!(await readdir(made.at(side))).includes(name));
    });
});

describe("a manifest's text", () => {
  const listed = (made: MoveScene, directory: string, ...together: string[]) =>
    readManifestText(made.host, key, made.at(directory), together);

  /** What the worker is asked while `work` is done. */
  async function askedBy(made: MoveScene, work: () => Promise<unknown>): Promise<string[]> {
    const worker = await made.host.worker();
    const asked: string[] = [];
    const { request } = worker;
    worker.request = (operation, ...rest) => {
      asked.push(operation.name);
      return request.call(worker, operation as never, ...(rest as [never])) as never;
    };
    await work().finally(() => {
      worker.request = request;
    });
    return asked;
  }

  it("is read by one question where a directory has few", async () => {
    await using made = await scene();
    await made.write(`path1/${name}`, "the text\n");
    const asked = await askedBy(made, async () => {
      assert.equal(await listed(made, "path1"), "the text\n");
      assert.equal(await listed(made, "path2"), undefined);
    });
    assert.deepEqual(asked, ["files-find", "files-find"]);
  });

  it("is read once in a look, with those of the other disks, where a directory has many", async () => {
    await using made = await scene();
    const keys = Array.from({ length: 6 }, (_, index) => `0000000${index}`);
    for (const each of keys) await made.write(`path1/${fileNames.manifest(each)}`, each);
    const host = remembering(made.host);
    const asked = await askedBy(made, async () => {
      for (const each of keys) assert.equal(await readManifestText(host, each, made.at("path1"), keys.slice(0, 3)), each);
    });
    assert.deepEqual(asked, ["files-find", ...keys.map(() => "file-read")]);
  });

  it("that somebody else could have written is not trusted", async () => {
    await using made = await scene();
    await made.write(`path1/${name}`, "{}");
    await chmod(made.at(`path1/${name}`), 0o664);
    await assert.rejects(listed(made, "path1"), /Unable to trust .* its mode is 664\. It was left as it is\. .*chmod go-w/);
  });

  it("is the same where a directory has many, or it is long", async () => {
    await using made = await scene();
    const long = "x".repeat(40_000);
    await made.write(`path1/${name}`, long);
    assert.equal(await listed(made, "path1"), long);
    for (let each = 0; each < 5; each++) await made.write(`path1/lm-0000000${each}.manifest.json`, `${each}`);
    assert.equal(await listed(made, "path1"), long);
    assert.equal(await listed(made, "path1", key, "00000001"), long);
    await made.write(`path1/${name}`, "short");
    assert.equal(await listed(made, "path1", key, "00000001"), "short");
    assert.equal(await listed(made, "path1"), "short");
  });

  it("is an empty one where the file is empty: that is not none", async () => {
    await using made = await scene();
    await made.write(`path1/${name}`, "");
    assert.equal(await listed(made, "path1"), "");
  });

  it("is none in a directory that is not there", async () => {
    await using made = await scene();
    assert.equal(await listed(made, "none"), undefined);
  });
});

describe("putting a manifest right", () => {
  const correct = (made: MoveScene, source: string, destination: string, to = "right") =>
    correctBoth(made.host, { source: made.at(source), destination: made.at(destination) }, to);

  it("writes both sides, and neither that says it already", async () => {
    await using made = await scene();
    await made.write("path1/m", "wrong");
    assert.equal(await correct(made, "path1/m", "path2/m"), undefined);
    for (const side of ["path1", "path2"]) assert.equal(await readFile(made.at(`${side}/m`), "utf8"), "right");
    const before = await made.which("path1/m");
    await correct(made, "path1/m", "path2/m");
    assert.deepEqual(await made.which("path1/m"), before);
  });

  it("returns why the destination could not be written, once the source says it", async () => {
    await using made = await scene();
    const why = await correct(made, "path1/m", "none/m");
    assert(isKind(why, "user"), String(why));
    assert.equal(await readFile(made.at("path1/m"), "utf8"), "right");
  });

  it("throws where the source cannot be written, and leaves the destination as it is", async () => {
    await using made = await scene();
    await made.write("path2/m", "wrong");
    await assert.rejects(correct(made, "none/m", "path2/m"), (thrown) => isKind(thrown, "user"));
    assert.equal(await readFile(made.at("path2/m"), "utf8"), "wrong");
  });
});
