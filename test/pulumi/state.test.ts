import assert from "node:assert/strict";
import { isKind } from "../../provider/core/errors.js";
import { toState } from "../../provider/pulumi/state.js";

describe("what goes into the state", () => {
  it("is kept as it is when JSON can say it", () => {
    const bag = { chain: [{ path: "/a", bytes: 0 }], running: false, link: null };
    assert.deepEqual(toState(bag), bag);
  });

  it("has no key without a value", () => {
    assert.deepEqual(Object.keys(toState({ absent: undefined, kept: 1 })), ["kept"]);
  });

  it("holds only well-formed texts", () => {
    assert.deepEqual(toState({ path: "/a\ud800" }), { path: "/a\ufffd" });
  });

  for (const [name, value] of Object.entries({
    "a Date": new Date(0),
    "bigint 1": 1n,
    "number NaN": Number.NaN,
    "a Map": new Map(),
    "undefined undefined": [undefined],
  })) {
    it(`is refused with ${name}, and the place is named`, () => {
      const keep = () => toState({ disks: [{ odd: value }] });
      assert.throws(keep, (error) => isKind(error, "bug") && error.message.includes("disks[0].odd") && error.message.includes(name));
    });
  }
});
