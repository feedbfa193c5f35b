/** The world as it is: the clocks and the chance of this machine. Besides host/ nobody else asks them. */

import { randomBytes } from "node:crypto";
import { setImmediate, setTimeout as wait } from "node:timers/promises";
import { Instances, type World } from "../core/world.js";

/** One for each process. */
export function realWorld(): World {
  const instances = new Instances();
  return {
    clock: () => performance.now() / 1000,
    now: () => new Date(),
    sleep,
    after(seconds, work) {
      const timer = setTimeout(work, milliseconds(seconds)).unref();
      return () => clearTimeout(timer);
    },
    token: (bytes) => randomBytes(bytes).toString("hex"),
    one: (Kind) => instances.one(Kind),
  };
}

async function sleep(seconds: number, stop?: AbortSignal): Promise<void> {
  if (seconds === 0) return setImmediate();
  // it rejects for nothing but the signal
  await wait(milliseconds(seconds), undefined, stop && { signal: stop }).catch(() => {});
}

/** Node takes what is longer for 1 ms (setTimeout()). */
function milliseconds(seconds: number): number {
  return Math.min(1000 * seconds, 2 ** 31 - 1);
}
