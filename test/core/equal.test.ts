/** Comparing values of JSON. */

import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { isEqual } from "../../provider/core/equal.js";

describe("two values of JSON", () => {
  it("are equal where Node says so, whatever they are", () =>
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), fc.jsonValue({ maxDepth: 3 }), (a, b) => isEqual(a, b) === isDeepStrictEqual(a, b)),
    ));

  it("are equal in whichever order their properties stand", () =>
    fc.assert(fc.property(fc.jsonValue(), (value) => isEqual(value, reversed(value)))));

  it("are not equal where one value somewhere in them is another", () => {
    const value = { disks: [{ disk: "vda", size: 1 }, null], name: "a" };
    for (const other of [
      { disks: [{ disk: "vda", size: 2 }, null], name: "a" },
      { disks: [{ disk: "vda" }, null], name: "a" },
      { disks: [{ disk: "vda", size: undefined }, null], name: "a" },
      { disks: [null, { disk: "vda", size: 1 }], name: "a" },
      { disks: { 0: { disk: "vda", size: 1 }, 1: null }, name: "a" },
      { disks: [{ disk: "vda", size: 1 }, null], toString: "a" },
    ]) {
      assert.equal(isEqual(value, other), false, JSON.stringify(other));
      assert.equal(isEqual(other, value), false, JSON.stringify(other));
    }
  });
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, one]) => [key, reversed(one)]),
  );
}
