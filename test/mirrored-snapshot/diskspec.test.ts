import assert from "node:assert/strict";
import fc from "fast-check";
import { isKind } from "../../provider/core/errors.js";
import { type Diskspec, parseDiskspec } from "../../provider/flows/mirrored-snapshot/diskspec.js";

/** The text that is read. */
function formatDiskspec({ disk, ...spec }: Diskspec): string {
  const parts = Object.entries(spec).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]));
  return [disk, ...parts].map((part) => part.replaceAll(",", ",,")).join(",");
}

describe("a diskspec", () => {
  it("is the disk alone, or with any of the four keys in any order", () => {
    assert.deepEqual(parseDiskspec("vda"), { disk: "vda" });
    assert.deepEqual(parseDiskspec("vda,file=/path1/to/old.migrate,mirror=/path2/new.qcow2"), {
      disk: "vda",
      file: "/path1/to/old.migrate",
      mirror: "/path2/new.qcow2",
    });
    assert.deepEqual(parseDiskspec("vda,mirror=/m,driver=qcow2,snapshot=external,file=/f"), {
      disk: "vda",
      snapshot: "external",
      driver: "qcow2",
      file: "/f",
      mirror: "/m",
    });
  });

  it("takes two commas for a literal one, and of three the first two", () => {
    assert.deepEqual(parseDiskspec("a,,b,file=/x,,y,,,mirror=/m"), { disk: "a,b", file: "/x,y,", mirror: "/m" });
  });

  it("keeps an equals sign that stands in a value", () => {
    assert.equal(parseDiskspec("vda,file=/a=b").file, "/a=b");
  });

  it("comes back from its own text, whatever its names hold", () => {
    const name = fc.string({ minLength: 1, unit: fc.constantFrom(",", "=", "/", "a", " ", "'", "file=", "\n", "ü") });
    const specs: fc.Arbitrary<Diskspec> = fc
      .record(
        { disk: name, snapshot: fc.constantFrom("external", "internal", "no"), driver: name, file: name, mirror: name },
        { requiredKeys: ["disk"] },
      )
      .map((spec): Diskspec => ({ ...spec }));
    fc.assert(fc.property(specs, (spec) => assert.deepEqual(parseDiskspec(formatDiskspec(spec)), spec)));
  });

  it("that is any text at all is refused in words, or comes back as what was read", () => {
    const piece = fc.constantFrom(
      ",",
      ",,",
      "=",
      "file=",
      "mirror=",
      "snapshot=",
      "driver=",
      "external",
      "vda",
      "/a",
      "__proto__=",
      "constructor=",
      "toString=",
      " ",
      "\n",
      "\0",
      "ü",
    );
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: piece }), fc.string({ unit: "binary" })), (words) => {
        let read: Diskspec;
        try {
          read = parseDiskspec(words);
        } catch (thrown) {
          assert(isKind(thrown, "user") && /The grammar is/.test(String(thrown)), String(thrown));
          return;
        }
        assert.deepEqual(parseDiskspec(formatDiskspec(read)), read);
      }),
      { numRuns: 2000 },
    );
  });

  const wrong: [string, RegExp][] = [
    ["", /it names no disk/],
    [",file=/f", /it names no disk/],
    ["vda,fil=/f", /"fil=\/f" is none of snapshot=…, driver=…, file=…, mirror=…/],
    ["vda,", /"" is none of/],
    ["vda,file=/f,file=/g", /it says file twice/],
    ["vda,mirror=", /its mirror is empty/],
    ["vda,snapshot=both", /snapshot is external, internal or no/],
  ];
  for (const [text, expected] of wrong) {
    it(`is refused as "${text}", with the grammar`, () => {
      assert.throws(() => parseDiskspec(text), { kind: "user", message: expected });
      assert.throws(() => parseDiskspec(text), { message: /The grammar is disk\[,snapshot=type\]/ });
    });
  }
});
