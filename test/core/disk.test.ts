/** Which file is which, and names that are ours. */

import assert from "node:assert/strict";
import { identityOf, isFile, isUnchanged, sameFile } from "../../provider/core/disk/chain.js";
import {
  diskKey,
  fileNames,
  isOurName,
  isOverlayName,
  jobNames,
  jobNamesOf,
  nodeNames,
  quarantineName,
} from "../../provider/core/disk/names.js";
import { absolutePath, normalPath, within } from "../../provider/core/disk/paths.js";

const file = { dev: "64768", ino: "12", sizeBytes: 4096, modified: "1700000000.000000001" };
const key = diskKey("a domain", "/machine/peripheral/vda");

describe("a file on a host", () => {
  it("is the same where device and inode are", () => {
    assert.equal(sameFile(file, { ...file, sizeBytes: 1, modified: "0" } as typeof file), true);
    assert.equal(sameFile(file, { ...file, dev: "1" }), false);
    assert.equal(sameFile(file, { ...file, ino: "1" }), false);
  });

  it("is the recorded one by its inode alone: its device's number may change with a boot", () => {
    assert.equal(isFile({ ...file, dev: "1" } as typeof file, file), true);
    assert.equal(isFile({ ...file, ino: "1" }, file), false);
  });

  it("is unchanged with the same inode, size and time only", () => {
    assert.equal(isUnchanged({ ...file, dev: "1" }, file), true);
    for (const other of [{ ino: "1" }, { sizeBytes: 8192 }, { modified: "1700000000.000000002" }])
      assert.equal(isUnchanged({ ...file, ...other }, file), false, JSON.stringify(other));
  });

  it("is told by four words, whatever else a look has seen", () =>
    assert.deepEqual(identityOf({ ...file, mode: "644" } as typeof file), file));
});

describe("a name of ours", () => {
  it("hangs on the domain and on the device", () => {
    assert.match(key, /^[0-9a-f]{8}$/);
    assert.equal(key, diskKey("a domain", "/machine/peripheral/vda"));
    assert.notEqual(key, diskKey("a domain", "/machine/peripheral/vdb"));
    assert.notEqual(key, diskKey("another domain", "/machine/peripheral/vda"));
  });

  it("of a node is at most 31 bytes long, and no two are alike", () => {
    const { targets, overlay, landings, filter, probe, snapshot, copied, held } = nodeNames;
    const numbered = [1, 2].flatMap((number) => [snapshot(key, number), copied(key, number), held(key, number)]);
    const all = [...targets(key), overlay(key), ...landings(key), filter(key), probe(key), ...numbered];
    assert.deepEqual(
      all.filter((name) => Buffer.byteLength(name) > 31 || !isOurName(name)),
      [],
    );
    assert.equal(new Set(all).size, all.length);
  });

  it("of a job is known again", () => {
    assert.deepEqual(new Set(jobNamesOf(key)), new Set([jobNames.mirror(key), jobNames.commit(key), jobNames.blockpull(key)]));
    assert.ok(jobNamesOf(key).every(isOurName));
  });

  it("is told from others", () => {
    for (const name of ["lm-0123456-mirror", "lm-0123456G-mirror", "xlm-01234567-mirror", "lm-01234567"])
      assert.equal(isOurName(name), false, name);
  });

  it("of an overlay is another where one is a layer already", () => {
    const first = fileNames.overlay(key);
    const second = fileNames.overlay(key, [first]);
    const third = fileNames.overlay(key, [second, "base.qcow2", first]);
    assert.deepEqual([first, second, third], [`lm-${key}.overlay.qcow2`, `lm-${key}.overlay-2.qcow2`, `lm-${key}.overlay-3.qcow2`]);
    for (const name of [first, second, third, `lm-${key}.overlay-10.qcow2`]) assert.equal(isOverlayName(key, name), true, name);
  });

  it("of an overlay is told from others", () => {
    const others = [
      `lm-${key}.overlay-1.qcow2`,
      `lm-${key}.overlay-02.qcow2`,
      `lm-${key}.overlay.raw`,
      "lm-00000000.overlay.qcow2",
      `a-lm-${key}.overlay.qcow2`,
    ];
    for (const name of others) assert.equal(isOverlayName(key, name), false, name);
  });

  it("of an image in quarantine has the time to the second, without colons", () => {
    assert.equal(quarantineName("web.qcow2", key, new Date("2026-03-04T05:06:07.089Z")), `web.qcow2.lm-${key}-20260304T050607Z`);
  });
});

describe("a path on a host", () => {
  it("is without double slashes and dots, but keeps two dots", () => {
    assert.deepEqual(["/a//b/./c/", "/", "a/./b", "/a/../b"].map(normalPath), ["/a/b/c", "/", "a/b", "/a/../b"]);
  });

  it("within a directory is itself where it is absolute", () => {
    assert.deepEqual([within("/a", "b"), within("/a", "/c"), within("/", "b")], ["/a/b", "/c", "/b"]);
  });

  it("as an argument begins with a slash, and holds no NUL and no line break", () => {
    const says = (value: unknown) => absolutePath("destination").safeParse(value).error?.issues[0]?.message;
    assert.equal(absolutePath("destination").parse("/a//b/"), "/a/b");
    assert.match(says("a/b") ?? "", /destination must be an absolute path/);
    assert.match(says("/a\0b") ?? "", /destination must not contain a NUL/);
    assert.match(says("/a\nb") ?? "", /destination must not contain a line break/);
    assert.match(says(7) ?? "", /destination is a path/);
  });
});
