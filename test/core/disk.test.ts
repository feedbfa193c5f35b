/** What a disk is made of, as plain values: identities, names and paths. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { compareFiles, identityOf, isFile, isUnchanged, sameFile, whichOf } from "../../provider/core/disk/chain.js";
import type { Identity } from "../../provider/core/disk/identity.js";
import {
  diskKey,
  fileNames,
  isOurName,
  isOverlayName,
  jobNames,
  jobNamesOf,
  nodeNames,
  quarantineName,
  standInNames,
} from "../../provider/core/disk/names.js";
import { absolutePath, normalPath, within } from "../../provider/core/disk/paths.js";

const file = { dev: "1", ino: "2", sizeBytes: 3, modified: "4.5" };

describe("which file it is", () => {
  it("is told by device and inode in one look, and by the inode alone later", () => {
    assert.deepEqual(
      [sameFile(file, { ...file }), sameFile(file, { ...file, dev: "9" }), sameFile(file, { ...file, ino: "9" })],
      [true, false, false],
    );
    assert.deepEqual([isFile(file, { ino: "2" }), isFile(file, { ino: "9" })], [true, false]);
  });

  it("is proved only where both sides tell more than the inode", () => {
    const is = (handle: string | null): Identity => ({
      ...{ handle, inode: "2", birthNs: null, device: "1", bootId: "boot" },
      fileSystem: { kind: "ext4", source: "/dev/sda1", uuid: "u", fsid: null },
    });
    const compared = (one: Identity | undefined, two: Identity | undefined) =>
      compareFiles({ ino: "2", identity: one }, { ino: "2", identity: two });
    assert.deepEqual([compared(is("1:aa"), is("1:aa")), compared(is("1:aa"), is("1:bb"))], ["same", "different"]);
    assert.deepEqual(
      [compared(undefined, is("1:aa")), compared(is("1:aa"), undefined), compared(is(null), is("1:aa"))],
      Array(3).fill("unknown"),
    );
    assert.equal(compareFiles({ ino: "9", identity: is("1:aa") }, { ino: "2" }), "different");
    assert(
      isFile({ ino: "2" }, { ino: "2", identity: is("1:aa") }) &&
        !isFile({ ino: "2", identity: is("1:bb") }, { ino: "2", identity: is("1:aa") }),
    );
    assert.deepEqual(whichOf({ ...file, identity: is("1:aa") }), { dev: "1", ino: "2", identity: is("1:aa") });
  });

  it("is unchanged by a time of whole seconds, as some stat prints it", () => {
    assert(isUnchanged(file, { ...file, modified: "4" }) && isUnchanged({ ...file, modified: "4" }, file));
    assert(!isUnchanged(file, { ...file, modified: "4.6" }));
  });

  it("is unchanged only with its inode, size and time, and whatever its device", () => {
    assert(isUnchanged(file, { ...file, dev: "9" }));
    for (const other of [{ ino: "9" }, { sizeBytes: 9 }, { modified: "9" }])
      assert(!isUnchanged(file, { ...file, ...other }), JSON.stringify(other));
  });

  it("leaves out what else a look has shown", () => assert.deepEqual(identityOf({ ...file, kind: "file" } as typeof file), file));
});

describe("the names that we give", () => {
  const key = diskKey("domain", "vda");

  it("stand for one disk of one domain, the same in each run", () => {
    assert.match(key, /^[0-9a-f]{8}$/);
    assert.equal(new Set([key, diskKey("domain", "vdb"), diskKey("other", "vda"), diskKey("domainv", "da")]).size, 4);
  });

  it("of nodes are ours, at most 31 bytes long, and each another", () => {
    const all = [
      ...nodeNames.targets(key),
      ...nodeNames.landings(key),
      nodeNames.overlay(key),
      nodeNames.filter(key),
      nodeNames.probe(key),
    ];
    const more = [nodeNames.snapshot(key, 99), nodeNames.copied(key, 99), nodeNames.held(key, 99)];
    for (const name of [...all, ...more]) assert(isOurName(name) && name.length <= 31, name);
    assert.equal(new Set([...all, ...more]).size, 10);
  });

  it("of somebody else are none of ours", () => {
    for (const name of ["lm-", "lm-0123456-x", "lm-0123456789-x", "xlm-01234567-x", "lm-0123456G-x", "drive-0", "#block123"])
      assert(!isOurName(name), name);
  });

  it("of jobs are all told together", () => {
    assert.deepEqual([...jobNamesOf(key)].sort(), [jobNames.mirror(key), jobNames.commit(key), jobNames.blockpull(key)].sort());
  });

  it("of an overlay is the first that is no layer", () => {
    const [first, second, third] = [`lm-${key}.overlay.qcow2`, `lm-${key}.overlay-2.qcow2`, `lm-${key}.overlay-3.qcow2`];
    assert.deepEqual(
      [fileNames.overlay(key), fileNames.overlay(key, ["x"]), fileNames.overlay(key, [first]), fileNames.overlay(key, [second, first])],
      [first, first, second, third],
    );
    for (const name of [first, second, third, `lm-${key}.overlay-10.qcow2`]) assert(isOverlayName(key, name), name);
    for (const name of [
      `lm-${key}.overlay-1.qcow2`,
      `lm-${key}.overlay-0.qcow2`,
      `lm-${key}.overlay.qcow2.x`,
      `lm-ffffffff.overlay.qcow2`,
      `lm-${key}.overlay-02.qcow2`,
      "disk.qcow2",
    ])
      assert(!isOverlayName(key, name), name);
  });

  it("of a quarantine sort by time, have no colon, and lead to the stand-in's", () => {
    const name = quarantineName("disk.qcow2", key, new Date("2026-01-02T03:04:05.678Z"));
    assert.equal(name, `disk.qcow2.lm-${key}-20260102T030405Z`);
    assert.deepEqual(standInNames(name), { empty: `${name}.empty`, link: `${name}.link` });
  });
});

describe("a path on a host", () => {
  it("is inside a directory, unless it is absolute", () => {
    assert.deepEqual([within("/a", "b"), within("/", "b"), within("/a", "/b"), within("/a", "b/c")], ["/a/b", "/b", "/b", "/a/b/c"]);
  });

  it("has no double slashes, no dots and no slash at its end; what goes up stays", () => {
    for (const [text, path] of [
      ["/a//b/./c/", "/a/b/c"],
      ["/", "/"],
      ["//", "/"],
      ["/a/../b", "/a/../b"],
      ["a/./b", "a/b"],
      ["./", ""],
    ] as const)
      assert.equal(normalPath(text), path);
    fc.assert(fc.property(fc.string(), (text) => assert.equal(normalPath(normalPath(text)), normalPath(text))));
  });

  it("is refused where it is relative, or holds a NUL or a line break", () => {
    const schema = absolutePath("destination");
    assert.equal(schema.parse("/a//b/"), "/a/b");
    for (const [text, words] of [
      ["a", /must be an absolute path/],
      ["/a\0", /NUL/],
      ["/a\nb", /line break/],
      [1, /destination is a path/],
    ] as const)
      assert.match(schema.safeParse(text).error?.issues[0]?.message ?? "", words);
  });
});
