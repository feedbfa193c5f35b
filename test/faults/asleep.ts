/** A client that was asleep while another run did its work, as a laptop whose lid was closed. */

import assert from "node:assert/strict";
import type { Arena, Storage } from "./arena.js";
import type { Evidence } from "./evidence.js";
import { assertError } from "./expectations.js";
import { endOf } from "./other-runner.js";
import type { ThirdEvent } from "./third-events.js";

/** One more up is stopped in its middle, another run does the work, and then the first one wakes. */
export async function asleep(arena: Arena, { nth }: ThirdEvent, evidence: Evidence): Promise<void> {
  const { stage, trap, other } = arena;
  let working: Promise<void> | undefined;
  const work = async () => {
    try {
      await worked(arena, other, evidence);
    } finally {
      arena.signalProviders("SIGCONT", "groups");
    }
  };
  trap.setAside({
    nth,
    async act() {
      arena.signalProviders("SIGSTOP", "groups");
      working = work();
      working.catch(() => undefined); // it is awaited below
    },
  });
  const woken = await arena.run("up", other);
  evidence.outputs.push({ title: "an up that was asleep", text: woken.output });
  trap.endAside();
  await working;
  await stage.guest.waitForRecords(2);
  if (working === undefined) assert.ok(woken.ok, "the up failed before it fell asleep");
  if (!woken.ok) await assertError(arena, woken);
}

/** The sleeper's worker has its locks and the monitor until half a minute after the last word: a run may be refused until then, each after 10 s at least. */
async function worked(arena: Arena, storage: Storage, evidence: Evidence): Promise<void> {
  for (let tries = 5; tries > 0; tries--) {
    const ending = await endOf((await arena.otherRunner()).begin(storage), evidence);
    if (ending.failed === "yes") continue;
    evidence.thirdEvent = "came";
    return;
  }
}
