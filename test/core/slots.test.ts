import assert from "node:assert/strict";
import { Slots } from "../../provider/core/async/slots.js";

/** Work that ends when it is told to. */
function works(slots: Slots, count: number) {
  const begun: number[] = [];
  const ends = Array.from({ length: count }, () => Promise.withResolvers<void>());
  const all = ends.map(({ promise }, index) =>
    slots.one(async () => {
      begun.push(index);
      await promise;
      return index;
    }),
  );
  return { begun, ends, all };
}

const settled = () => new Promise(setImmediate);

describe("so many at a time", () => {
  it("begin at once, and who comes later waits for an end, in order", async () => {
    const { begun, ends, all } = works(new Slots(2), 4);
    await settled();
    assert.deepEqual(begun, [0, 1]);
    ends[1]?.resolve();
    await settled();
    assert.deepEqual(begun, [0, 1, 2]);
    ends[0]?.resolve();
    await settled();
    assert.deepEqual(begun, [0, 1, 2, 3]);
    for (const { resolve } of ends) resolve();
    assert.deepEqual(await Promise.all(all), [0, 1, 2, 3]);
  });

  it("give their place on also where they fail", async () => {
    const { begun, ends, all } = works(new Slots(1), 2);
    ends[0]?.reject(new Error("wrong"));
    await assert.rejects(all[0] ?? assert.fail(), /wrong/);
    await settled();
    assert.deepEqual(begun, [0, 1]);
    ends[1]?.resolve();
    await all[1];
  });

  it("are free when nobody is at work, and take no more than before afterwards", async () => {
    const slots = new Slots(1);
    assert(slots.isFree);
    const first = works(slots, 2);
    await settled();
    assert(!slots.isFree);
    for (const { resolve } of first.ends) resolve();
    await Promise.all(first.all);
    assert(slots.isFree);
    const second = works(slots, 2);
    await settled();
    assert.deepEqual(second.begun, [0]);
    for (const { resolve } of second.ends) resolve();
    await Promise.all(second.all);
  });
});
