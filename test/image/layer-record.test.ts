import assert from "node:assert/strict";
import * as fc from "fast-check";
import type { Identity } from "../../provider/core/disk/identity.js";
import type { FileSeen } from "../../provider/host/file-seen.js";
import { copyStart } from "../../provider/storage/directory/copy-plan.js";
import type { LayerSeen } from "../../provider/storage/directory/layer.js";
import {
  fate,
  formatRecord,
  type LayerRecord,
  parseRecord,
  withKept,
  withMover,
  withoutMover,
} from "../../provider/storage/directory/layer-record.js";

const [A, B] = ["aaaaaaaa", "bbbbbbbb"] as const;
const is = (inode: string, handle: string | null = `1:${inode}`): Identity => ({
  ...{ handle, inode, birthNs: null, device: "1", bootId: "boot" },
  fileSystem: { kind: "ext4", source: "/dev/sda1", uuid: null, fsid: "f" },
});
const source = { dev: "1", ino: "7", identity: is("7"), sizeBytes: 99, modified: "1.5" };
const origin = { source, backing: "as-in-source" };
const finished = { phase: "finished", ino: "8", identity: is("8"), sizeBytes: 99, modified: "2.5" } as const;
const partial = { phase: "partial", suffix: "0123456789abcdef", ino: "8", identity: is("8"), doneBytes: 5 } as const;
const layer: FileSeen = {
  dev: "1",
  ino: "8",
  identity: is("8"),
  sizeBytes: 99,
  modified: "2.5",
  allocatedBytes: 0,
  kind: "file",
  mode: 0o644,
  owner: 0,
};

describe("the record of a layer", () => {
  const key = fc.stringMatching(/^[0-9a-f]{8}$/);
  const number = fc.nat().map(String);
  const time = fc.stringMatching(/^[0-9]{1,9}(\.[0-9]{1,9})?$/);
  const text = fc.option(fc.string(), { nil: null });
  const identity: fc.Arbitrary<Identity> = fc.record({
    ...{ handle: text, inode: fc.string(), birthNs: text, device: fc.string(), bootId: fc.string() },
    fileSystem: fc.record({ kind: text, source: text, uuid: text, fsid: text }),
  });
  /** 0.1.0 wrote no identities. */
  const known = <T>(values: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
    fc.oneof(fc.record(values), fc.record({ ...values, identity }) as unknown as fc.Arbitrary<T>);
  const records: fc.Arbitrary<LayerRecord> = fc.record({
    origin: fc.record({
      source: known({ dev: number, ino: number, sizeBytes: fc.nat(), modified: time }),
      backing: fc.oneof(fc.constant("as-in-source"), fc.stringMatching(/^[0-9a-f]{16}$/)),
    }),
    copy: fc.oneof(
      known({ phase: fc.constant("finished" as const), ino: number, sizeBytes: fc.nat(), modified: time }),
      known({ phase: fc.constant("partial" as const), suffix: fc.stringMatching(/^[0-9a-f]{16}$/), ino: number, doneBytes: fc.nat() }),
      fc.record({ phase: fc.constant("partial" as const), suffix: fc.stringMatching(/^[0-9a-f]{16}$/), doneBytes: fc.nat() }),
    ),
    moving: fc.array(key),
    kept: fc.array(key),
  });

  it("is read as it was written, and never when a line or its end is missing", () => {
    fc.assert(
      fc.property(records, fc.nat(), (record, at) => {
        const lines = formatRecord(record);
        assert.deepEqual(parseRecord(lines), structuredClone(record));
        assert.equal(parseRecord(lines.slice(0, 1 + (at % (lines.length - 1)))), "foreign");
        assert.equal(parseRecord([...lines, "more"]), "foreign");
      }),
    );
    assert.equal(parseRecord([]), "empty");
  });

  it("lets all go with the last who moves, unless a move has ended on it", () => {
    const record = withMover(withMover({ origin, copy: finished, moving: [], kept: [] }, A), B);
    assert.equal(fate(withoutMover(record, A)), "all stays");
    assert.equal(fate(withoutMover(withoutMover(record, A), B)), "all goes");
    assert.equal(fate(withKept(record, A)), "all stays");
    assert.equal(fate(withoutMover(withKept(record, A), B)), "layer stays");
    assert.deepEqual(withMover(withKept(record, A), A).kept, []);
  });
});

describe("the start of a copy", () => {
  const seen = (more: Partial<LayerSeen>): LayerSeen => ({ record: "empty", layer: undefined, source: undefined, ...more });
  const record = (copy: LayerRecord["copy"], moving: string[] = [A]): LayerRecord => ({ origin, copy, moving, kept: [] });
  const of = (identity: Identity | undefined) => ({ ...origin, source: { ...source, identity } }) as typeof origin;
  const reused = { ...layer, identity: is("8", "1:reused") };
  const old = <C extends LayerRecord["copy"]>({ identity: _, ...copy }: C) => copy as unknown as C;
  const other = { ...origin, source: { ...source, modified: "1.6" } };
  const cases: [string, LayerSeen, typeof origin, string][] = [
    ["nothing is there", seen({}), origin, "anew"],
    ["a stranger's file is there", seen({ layer }), origin, "refuse"],
    ["a sidecar of others is there", seen({ record: "foreign" }), origin, "refuse"],
    ["the copy is finished", seen({ record: record(finished), layer }), origin, "join"],
    ["the finished copy is of another state", seen({ record: record(finished), layer }), other, "unproved"],
    [
      "the finished copy is of the file that had the inode before",
      seen({ record: record(finished), layer }),
      of(is("7", "1:new")),
      "unproved",
    ],
    ["the copy has the inode of another file", seen({ record: record(finished), layer: reused }), origin, "refuse"],
    ["another file has the partial's inode, and the name", seen({ record: record(partial), layer: reused }), origin, "refuse"],
    ["the finished copy is this move's own, of 0.1.0", seen({ record: record(old(finished)), layer }), origin, "join"],
    ["the finished copy is another move's, of 0.1.0", seen({ record: record(old(finished), [B]), layer }), origin, "unproved"],
    ["the name was given by 0.1.0 and not recorded", seen({ record: record(old(partial)), layer }), origin, "unproved"],
    ["a partial of 0.1.0 is this move's own", seen({ record: { ...record(old(partial)), origin: of(undefined) } }), origin, "continue"],
    ["a partial of 0.1.0 is another's", seen({ record: { ...record(old(partial), [B]), origin: of(undefined) } }), origin, "refuse"],
    [
      "another move's is of a clone of the file system",
      seen({ record: record(finished, [B]), layer }),
      of({ ...is("7"), device: "9" }),
      "unproved",
    ],
    ["the finished copy was written to", seen({ record: record(finished), layer: { ...layer, modified: "3" } }), origin, "refuse"],
    ["the finished copy was replaced", seen({ record: record(finished), layer: { ...layer, ino: "9" } }), origin, "refuse"],
    ["the finished copy was removed", seen({ record: record(finished) }), origin, "anew"],
    ["a partial is there", seen({ record: record(partial) }), origin, "continue"],
    ["a partial was never made", seen({ record: record({ phase: "partial", suffix: partial.suffix, doneBytes: 0 }) }), origin, "anew"],
    ["a partial is of an earlier state", seen({ record: record(partial) }), other, "anew"],
    ["another disk's partial is of another state", seen({ record: record(partial, [A, B]) }), other, "refuse"],
    ["the name was given and not recorded", seen({ record: record(partial), layer }), origin, "record"],
    ["a stranger's file came while it was copied", seen({ record: record(partial), layer: { ...layer, ino: "9" } }), origin, "refuse"],
  ];
  for (const [when, what, wanted, start] of cases) {
    it(`is "${start}" when ${when}`, () => {
      const begin = copyStart(what, wanted, A);
      assert.equal("what" in begin && begin.what === "unproved" ? "unproved" : begin.start, start);
    });
  }
});
