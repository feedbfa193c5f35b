/** What others, or the storage, do besides in a move that is broken twice. Pure. */

import { anyCommand, chanceOf, endless } from "./chance.js";
import type { Point } from "./points.js";
import type { Strategy } from "./strategies.js";

/**
 * `another run`: in another PID namespace, beside the run that is broken a second time. `foreign overlay`: on the disk between the two breaks,
 * where a move has begun. `supervisor`: starts a QEMU that was killed again at once, as it was started before. `slow storage`: two calls of the
 * host's program take 6 s each, in the run that is broken a second time, or else in the one after it. `asleep`: one more run is stopped in its middle, another one works, and then the first one wakes.
 */
export const thirdEvents = ["another run", "foreign overlay", "supervisor", "slow storage", "asleep"] as const;

export const slowCalls = ["fsync", "rename", "stat"] as const;

export interface ThirdEvent {
  event: (typeof thirdEvents)[number];
  /** Before which command of its run, counted from 1, or of the second break's if that comes earlier. */
  nth: number;
  /** What slow storage is slow at. */
  call: (typeof slowCalls)[number];
}

/** Of pairs. */
const share = 0.7;

/** Some of the pairs get a third event of these. The same seed gives the same ones. */
export function withThirdEvents(pairs: readonly Point[], seed: number, events: readonly ThirdEvent["event"][] = thirdEvents): Point[] {
  const chance = chanceOf(seed + 1000);
  const nextEvent = endless(events, chance);
  const nextCall = endless(slowCalls, chance);
  const eventFor = (strategy: Strategy) => {
    for (;;) {
      const event = nextEvent();
      if (fits(event, strategy)) return event;
    }
  };
  return pairs.map((pair) => {
    if (chance() >= share) return pair;
    return withThird(pair, { event: eventFor(pair.strategy), nth: anyCommand(chance), call: nextCall() });
  });
}

/** From the freeze on, a guest must not be started from its old path, which its own command line names (README, `restartDuringMove`). */
function fits(event: ThirdEvent["event"], strategy: Strategy): boolean {
  return event !== "supervisor" || strategy === "mirror";
}

function withThird(pair: Point, third: ThirdEvent): Point {
  if (third.event !== "supervisor" || !pair.second) return { ...pair, third };
  return { ...pair, second: { ...pair.second, fault: "qemu-killed" }, third };
}

export function thirdWords({ event, nth, call }: ThirdEvent): string {
  if (event === "foreign overlay" || event === "supervisor") return `with ${event}`;
  return `with ${event === "slow storage" ? `slow ${call}` : event} at command ${nth}`;
}
