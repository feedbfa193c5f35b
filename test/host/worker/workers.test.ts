/** The workers of one connection: which is there once, and when another is opened. */

import assert from "node:assert/strict";
import type { Worker } from "../../../provider/host/worker/worker.js";
import { Workers } from "../../../provider/host/worker/workers.js";

/** What a {@link Workers} asks of a worker. */
class Ending {
  ended: Error | undefined;
  isIdle = true;
  readonly #listeners: (() => void)[] = [];
  onEnd(listener: () => void): void {
    this.#listeners.push(listener);
  }
  end(told: "told" | "untold" = "told"): void {
    this.ended = new Error("it ended");
    if (told === "told") for (const listener of this.#listeners) listener();
  }
}

function counting() {
  const opened: Ending[] = [];
  const open = async (): Promise<Worker> => {
    const worker = new Ending();
    opened.push(worker);
    return worker as unknown as Worker; // only what is above is asked of it
  };
  return { opened, open };
}

describe("the workers of a connection", () => {
  it("are opened once for each key, also by two who ask together", async () => {
    const workers = new Workers<string>();
    const { opened, open } = counting();
    const [one, two, other] = await Promise.all([workers.of("none", open), workers.of("none", open), workers.of("sudo", open)]);
    assert.equal(opened.length, 2);
    assert.equal(one, two);
    assert.notEqual(one, other);
    assert.equal(await workers.of("none", open), one);
  });

  for (const told of ["told", "untold"] as const)
    it(`are opened again after their end (${told})`, async () => {
      const workers = new Workers<string>();
      const { opened, open } = counting();
      const one = await workers.of("none", open);
      opened[0]?.end(told);
      assert.notEqual(await workers.of("none", open), one);
      assert.equal(opened.length, 2);
    });

  it("are opened again after an opening that failed", async () => {
    const workers = new Workers<string>();
    const { opened, open } = counting();
    await assert.rejects(
      workers.of("none", () => Promise.reject(new Error("refused"))),
      /refused/,
    );
    await workers.of("none", open);
    assert.equal(opened.length, 1);
  });

  it("are idle as long as none of those that are open has anything to do", async () => {
    const workers = new Workers<string>();
    const { opened, open } = counting();
    assert(workers.areIdle);
    await workers.of("none", open);
    await workers.of("sudo", open);
    assert(workers.areIdle);
    Object.assign(opened[1] ?? {}, { isIdle: false });
    assert(!workers.areIdle);
    opened[1]?.end();
    assert(workers.areIdle);
  });
});
