/** What must not happen twice at once. */

import assert from "node:assert/strict";
import { KeyedMutex } from "../../provider/core/async/keyed-mutex.js";

describe("work under one key", () => {
  let mutex: KeyedMutex;
  beforeEach(() => {
    mutex = new KeyedMutex();
  });

  it("begins when all that was begun before is over, first come first served, however that ended", async () => {
    const order: string[] = [];
    const [first, second] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
    const work = (name: string, until?: Promise<string>) =>
      mutex.run("key", async () => {
        order.push(`${name} begins`);
        const answer = await until;
        order.push(`${name} ends`);
        return answer;
      });
    const all = [work("first", first.promise), work("second", second.promise), work("third")];
    const ends = Promise.allSettled(all);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(order, ["first begins"]);
    first.reject(new Error("refused"));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(order, ["first begins", "second begins"]);
    second.resolve("done");
    assert.deepEqual(
      (await ends).map((end) => (end.status === "fulfilled" ? end.value : String(end.reason))),
      ["Error: refused", "done", undefined],
    );
    assert.deepEqual(order, ["first begins", "second begins", "second ends", "third begins", "third ends"]);
  });

  it("does not wait for work under another key", async () => {
    const never = Promise.withResolvers<void>();
    const waiting = mutex.run("busy", () => never.promise);
    assert.equal(await mutex.run("free", async () => "done"), "done");
    never.resolve();
    await waiting;
  });

  it("begins at once where nothing is left of what was before", async () => {
    const first = mutex.run("again", async () => {});
    assert.equal(mutex.isTaken("again"), true);
    await first;
    assert.equal(mutex.isTaken("again"), false);
    assert.equal(await mutex.run("again", async () => "done"), "done");
  });
});
