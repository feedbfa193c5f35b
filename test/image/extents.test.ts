import assert from "node:assert/strict";
import * as fc from "fast-check";
import { type Extent, mergeExtents, positionAfter, remainingAfter, stepsOf, totalBytes } from "../../provider/storage/directory/extents.js";
import { MIB } from "./files.js";

const end = ({ offset, length }: Extent) => offset + length;

describe("the extents of a copy", () => {
  it("are joined over short gaps, and aligned outwards", () => {
    const merged = mergeExtents(
      [
        { offset: 10 * MIB, length: 100 },
        { offset: 5000, length: 4096 },
        { offset: 8 * MIB, length: MIB + 1 },
      ],
      10 * MIB + 100,
    );
    assert.deepEqual(merged, [
      { offset: 4096, length: 8192 },
      { offset: 8 * MIB, length: 2 * MIB + 100 },
    ]);
  });

  const extents = fc
    .array(
      fc.record({ hole: fc.nat(3 * MIB), length: fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 1, max: 200 * MIB })) }),
      { maxLength: 80 },
    )
    .map((runs) => {
      let at = 0;
      return runs.map(({ hole, length }) => {
        const offset = at + hole;
        at = offset + length;
        return { offset, length };
      });
    });

  it("cover all data, in order, without a byte twice, in pieces that dd writes directly", () => {
    fc.assert(
      fc.property(extents, fc.double({ min: 0, max: 200 * MIB, noNaN: true }), fc.constantFrom(MIB, 16 * MIB), (data, bytes, block) => {
        const size = data.length === 0 ? 0 : end(data.at(-1) ?? { offset: 0, length: 0 });
        const merged = mergeExtents(data, size);
        for (const run of data) assert(merged.some((m) => m.offset <= run.offset && end(m) >= end(run)));
        let position = 0;
        let copied = 0;
        const asked = { readBytes: 9 * MIB, writeBytes: block };
        for (const { pieces, blocks } of stepsOf(merged, () => ({ bytes, blocks: asked }))) {
          assert.equal(blocks, asked);
          assert(pieces.length > 0 && pieces.length <= 64 && totalBytes(pieces) <= 64 * MIB);
          for (const piece of pieces) {
            assert(piece.offset >= position && piece.offset % 4096 === 0 && piece.length > 0);
            assert(piece.length % block === 0 || piece.length < block);
            assert(piece.length % 4096 === 0 || end(piece) === size);
            position = end(piece);
          }
          copied += totalBytes(pieces);
          assert.equal(positionAfter(pieces), position);
          assert.equal(totalBytes(remainingAfter(merged, position)), totalBytes(merged) - copied);
        }
        assert.equal(copied, totalBytes(merged));
      }),
      { numRuns: 200 },
    );
  });
});
