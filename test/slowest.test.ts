import assert from "node:assert/strict";
import { Slowest } from "./slowest.js";

describe("the line of the slowest files", () => {
  it("adds up tests and hooks of a file, and begins with the slowest", () => {
    const slowest = new Slowest();
    slowest.add({ file: "/t/e2e/cut.test.js", duration: 1500 });
    slowest.add({ file: "/t/image/copy.test.js", duration: 9000 });
    slowest.add({ file: "/t/e2e/cut.test.js", duration: 9500 });
    assert.equal(slowest.line("/t"), "Slowest files: e2e/cut 11 s, image/copy 9 s");
  });

  it("tells no file that took less than a second, and is not there without one", () => {
    const slowest = new Slowest();
    slowest.add({ file: "/t/core/bytes.test.js", duration: 900 });
    assert.equal(slowest.line("/t"), undefined);
  });

  it("has at most as many files as are asked for", () => {
    const slowest = new Slowest();
    for (const file of ["a", "b", "c"]) slowest.add({ file: `/t/${file}.test.js`, duration: 2000 });
    assert.equal(slowest.line("/t", 2)?.split(",").length, 2);
  });
});
