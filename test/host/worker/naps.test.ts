import assert from "node:assert/strict";
import { Naps } from "../../../provider/host/worker/naps.js";

describe("a silence of this process", () => {
  let now: number;
  let naps: Naps;
  beforeEach(() => {
    now = 1000;
    naps = new Naps({ wordSeconds: 10, silenceSeconds: 30 }, () => now);
  });

  it("is told as soon as it ends, before the next word and after it", () => {
    now += 41;
    assert.equal(naps.seconds, 41);
    naps.spoke();
    assert.equal(naps.seconds, 41);
  });

  it("is no reason for what comes a word later", () => {
    now += 41;
    naps.spoke();
    now += 10.5;
    naps.spoke();
    assert.equal(naps.seconds, undefined);
  });

  it("counts only where it was longer than the worker waits", () => {
    now += 29;
    assert.equal(naps.seconds, undefined);
    naps.spoke();
    assert.equal(naps.seconds, undefined);
  });
});
