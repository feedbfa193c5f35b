/** Tests for a run of their own (main.ts), each of which fails in its first turn. */

import assert from "node:assert/strict";
import { mayHaveASecondTurn } from "./leave.js";

const turns = new Map<string, number>();

function failsOnce(name: string): void {
  const turn = (turns.get(name) ?? 0) + 1;
  turns.set(name, turn);
  assert(turn > 1, `${name} came late`);
}

describe("a fixture", () => {
  it("without leave", () => failsOnce("the guest"));

  it("with leave", function () {
    mayHaveASecondTurn(this, "the machine was slow");
    failsOnce("the disk");
  });

  it("without leave, by a way of its own", function () {
    const turnsOfItsOwn = "retries";
    this[turnsOfItsOwn](1);
    failsOnce("the network");
  });

  it("with leave, and later than it may be", function (done) {
    this.timeout(50);
    mayHaveASecondTurn(this, "the machine stood still");
    if (turns.has("the clock")) done();
    turns.set("the clock", 1);
  });

  it("with leave, and worse than late", function () {
    mayHaveASecondTurn(this, "the machine was slow");
    assert.fail("lost a record");
  });
});
