/** What copying a layer begins with, from what lies there: each answer by the one fact that decides it. */

import assert from "node:assert/strict";
import type { Identity } from "../../provider/core/disk/identity.js";
import { type CopyStart, copyStart } from "../../provider/storage/directory/copy-plan.js";
import type { LayerSeen } from "../../provider/storage/directory/layer.js";
import type { CopyState, LayerRecord, Origin } from "../../provider/storage/directory/layer-record.js";

const [me, other] = ["aaaaaaaa", "bbbbbbbb"];
const is = (inode: string): Identity => ({
  ...{ handle: `1:${inode}`, inode, birthNs: null, device: "1", bootId: "boot" },
  fileSystem: { kind: "ext4", source: "/dev/sda1", uuid: "u", fsid: null },
});
const origin: Origin = { source: { dev: "1", ino: "2", identity: is("2"), sizeBytes: 3, modified: "4" }, backing: "as-in-source" };
const finished: CopyState = { phase: "finished", ino: "9", identity: is("9"), sizeBytes: 3, modified: "8" };
const partial: CopyState = { phase: "partial", suffix: "0123456789abcdef", ino: "9", identity: is("9"), doneBytes: 1 };
const { ino: _, identity: __, ...unmade } = partial as Extract<CopyState, { phase: "partial" }>;
const layer = {
  dev: "1",
  ino: "9",
  identity: is("9"),
  sizeBytes: 3,
  modified: "8",
  allocatedBytes: 0,
  kind: "file" as const,
  mode: 0o644,
  owner: 0,
};

function start(record: LayerSeen["record"], there: LayerSeen["layer"], wanted: Origin = origin): CopyStart {
  return copyStart({ record, layer: there, source: undefined }, wanted, me ?? "");
}

function recorded(copy: CopyState, { moving = [me], kept = [] as (string | undefined)[], of = origin } = {}): LayerRecord {
  return { origin: of, copy, moving: moving as string[], kept: kept as string[] };
}

const differs: Origin[] = [
  { ...origin, source: { ...origin.source, ino: "other" } },
  { ...origin, source: { ...origin.source, sizeBytes: 4 } },
  { ...origin, source: { ...origin.source, modified: "5" } },
  { ...origin, backing: "0123456789abcdef" },
];

describe("what the copy of a layer begins with", () => {
  const nobody = { moving: [], kept: [] };

  it("is a new copy where nothing lies there", () => {
    assert.deepEqual(start("empty", undefined), { start: "anew", standing: nobody });
  });

  it("is a refusal where somebody's file lies there, which is told apart as a regular file", () => {
    const refused = start("empty", layer);
    assert.deepEqual([refused.start, "what" in refused && refused.what], ["refuse", "left-behind"]);
    const special = start("empty", { ...layer, kind: "other" });
    assert.deepEqual([special.start, "what" in special], ["refuse", false]);
  });

  it("is a refusal where the sidecar was not written by us", () => assert.equal(start("foreign", undefined).start, "refuse"));

  it("is joined where the finished copy of the same is there, device and all else apart", () => {
    const record = recorded(finished);
    assert.deepEqual(start(record, layer), { start: "join", record });
    const rebooted = { ...layer, dev: "2", identity: { ...is("9"), bootId: "next", device: "2" } };
    assert.deepEqual(start(record, rebooted), { start: "join", record });
  });

  for (const [what, there] of [
    ["another file", { ...layer, ino: "1" }],
    ["one that was written to: another size", { ...layer, sizeBytes: 4 }],
    ["one that was written to: another time", { ...layer, modified: "9" }],
  ] as const)
    it(`is a refusal where the finished copy is ${what}`, () => assert.equal(start(recorded(finished), there).start, "refuse"));

  it("is a refusal where the copy there is of something else, until a finished one is compared", () => {
    for (const wanted of differs) {
      const refused = start(recorded(finished), layer, wanted);
      assert.deepEqual([refused.start, "what" in refused && refused.what], ["refuse", "unproved"]);
    }
    for (const wanted of differs) assert.equal(start(recorded(partial), layer, wanted).start, "refuse");
  });

  it("is only recorded where the partial has its name already", () => {
    const record = recorded(partial);
    assert.deepEqual(start(record, layer), { start: "record", record });
    assert.equal(start(record, { ...layer, sizeBytes: 99 }).start, "record");
  });

  it("goes on from a partial of the same, whoever began it", () => {
    for (const moving of [[me], [other], []]) {
      const record = recorded(partial, { moving });
      assert.deepEqual(start(record, undefined), { start: "continue", record, partial });
    }
  });

  it("is new beside those who stand on it, where the partial was never made or the finished copy is gone", () => {
    const standing = { moving: [me, other], kept: [other] };
    assert.deepEqual(start(recorded(unmade, standing), undefined), { start: "anew", standing, discard: unmade });
    assert.deepEqual(start(recorded(finished, standing), undefined), { start: "anew", standing });
  });

  it("is new, without what was there, where this disk alone stood on a copy of something else", () => {
    for (const wanted of differs) {
      assert.deepEqual(start(recorded(partial), undefined, wanted), { start: "anew", standing: nobody, discard: partial });
      assert.deepEqual(start(recorded(finished), undefined, wanted), { start: "anew", standing: nobody });
    }
  });

  it("is a refusal where another disk moves or stays on a copy of something else", () => {
    for (const standing of [{ moving: [other] }, { moving: [me, other] }, { moving: [], kept: [other] }])
      assert.equal(start(recorded(partial, standing), undefined, differs[0]).start, "refuse");
  });
});
