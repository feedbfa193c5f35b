/** Waiting on a connection that may break. */

import assert from "node:assert/strict";
import { isKind } from "../../provider/core/errors.js";
import { Waits, type Ways } from "../../provider/host/waits.js";

const late = () => new Error("late");

/** A wait that has begun, and what ends it. */
function begun(waits: Waits, seconds = 60): { answer: Promise<string>; ways: Ways<string> } {
  let ways: Ways<string> | undefined;
  const answer = waits.wait<string>(seconds, late, (these) => {
    ways = these;
  });
  return { answer, ways: ways ?? assert.fail("it was not begun") };
}

describe("a wait on a connection", () => {
  it("ends with its answer", async () => {
    const { answer, ways } = begun(new Waits());
    ways.resolve("yes");
    assert.equal(await answer, "yes");
  });

  it("ends with its own error", async () => {
    const { answer, ways } = begun(new Waits());
    ways.reject(new Error("no"));
    await assert.rejects(answer, /^Error: no$/);
  });

  it("ends when its time is over", () => assert.rejects(begun(new Waits(), 0.01).answer, /^Error: late$/));

  it("ends when the connection breaks, with all others", async () => {
    const waits = new Waits();
    const [one, two] = [begun(waits), begun(waits)];
    waits.breakAll(new Error("gone"));
    await assert.rejects(one.answer, /^Error: gone$/);
    await assert.rejects(two.answer, /^Error: gone$/);
  });

  it("does not begin where the connection is broken, and is told of the first reason", async () => {
    const waits = new Waits();
    assert.ok(!waits.broken);
    waits.breakAll(new Error("gone"));
    waits.breakAll(new Error("closed"));
    assert.deepEqual(waits.broken, new Error("gone"));
    let begun = "no";
    const wait = waits.wait(60, late, () => {
      begun = "yes";
    });
    await assert.rejects(wait, /^Error: gone$/);
    assert.equal(begun, "no");
  });

  it("that ssh2 refuses to begin is one of a host that cannot be reached", async () => {
    const refused = new Waits().wait(60, late, () => {
      throw new Error("Not connected");
    });
    await assert.rejects(refused, (thrown) => isKind(thrown, "unreachable") && /has just ended/.test(thrown.message));
  });

  it("that is over hears nothing of a connection that breaks later", async () => {
    const waits = new Waits();
    const { answer, ways } = begun(waits);
    ways.resolve("yes");
    waits.breakAll(new Error("gone"));
    assert.equal(await answer, "yes");
  });
});
