/** Where a move is broken, and how: every pair of a recorded command and a fault, or a seeded spread of them. Pure. */

import type { Passing } from "../sandbox/gate.js";
import { anyCommand, chanceOf, endless, pick, shuffled } from "./chance.js";
import { type Strategy, strategies } from "./strategies.js";
import { type ThirdEvent, thirdWords } from "./third-events.js";

export const faults = ["provider-killed", "ssh-cut", "qmp-cut", "interrupted", "qemu-killed"] as const;
/** `interrupted`: SIGINT to the provider's process group, as a terminal's Ctrl-C gives it. */
export type Fault = (typeof faults)[number];

/** `before` the command has arrived, or `after` it was carried out and before its answer is seen. */
export type Moment = "before" | "after";

export interface Point {
  strategy: Strategy;
  /** All questions are one: `poll`. */
  command: string;
  /** Which one of that name, counted from 1. */
  occurrence: number;
  fault: Fault;
  moment: Moment;
  /** Broken again, in the `up` that goes on. */
  second?: SecondBreak;
  /** What happens besides. */
  third?: ThirdEvent;
  /** What is run after it. */
  ending: "up" | "destroy";
}

export interface SecondBreak {
  /** Which command of that run, counted from 1, whatever it is: what a run that goes on does depends on where the first was broken. */
  nth: number;
  fault: Fault;
  moment: Moment;
}

/** Of one whole move: every command in order. */
export type Recording = readonly Passing[];

/** Of a strategy that was not recorded no point is made. */
export type Recordings = Readonly<Partial<Record<Strategy, Recording>>>;

export const pollName = "poll";

export function commandName({ road, name, kind }: Passing): string {
  return kind === "question" ? pollName : `${road} ${name}`;
}

export function titleOf({ strategy, command, occurrence, fault, moment, second, third, ending }: Point): string {
  const again = second === undefined ? "" : `, then ${second.fault} ${second.moment} command ${second.nth} of the next up`;
  const besides = third === undefined ? "" : `, ${thirdWords(third)}`;
  return `${strategy}: ${fault} ${moment} ${command} #${occurrence}${again}${besides}, then ${ending}`;
}

/** Where a run that went by without coming to the second break is tried next; undefined where it cannot come earlier. */
export function earlier(point: Point): Point | undefined {
  const { second } = point;
  return second && second.nth > 1 ? { ...point, second: { ...second, nth: Math.ceil(second.nth / 3) } } : undefined;
}

/** A run may have one such command less than the recorded one had, as where a job has ended before it was asked: then the last one that there is. */
export function oneFewer(point: Point): Point | undefined {
  return point.occurrence > 1 ? { ...point, occurrence: point.occurrence - 1 } : undefined;
}

/** Commands of one name, by their numbers. */
interface Group {
  command: string;
  occurrences: number[];
}

function groupsOf(recording: Recording = []): Group[] {
  const groups = new Map<string, number[]>();
  for (const command of recording.map(commandName)) {
    const occurrences = groups.get(command) ?? [];
    groups.set(command, [...occurrences, occurrences.length + 1]);
  }
  return [...groups].map(([command, occurrences]) => ({ command, occurrences }));
}

const endings = ["up", "destroy"] as const;

const breaks = faults.flatMap((fault) => [
  { fault, moment: "before" as const },
  { fault, moment: "after" as const },
]);

/** Polls that come in every move: how many there are hangs on how long its waits are. */
const surely = (occurrences: readonly number[]) => occurrences.slice(0, Math.ceil(occurrences.length / 2));

/** Every command, of the polls the middle one, with every fault before and after it, and either way of going on. */
export function allPoints(recordings: Recordings): Point[] {
  return strategies.flatMap((strategy) =>
    groupsOf(recordings[strategy]).flatMap(({ command, occurrences }) => {
      const middle = occurrences.slice(occurrences.length / 2, occurrences.length / 2 + 1);
      return (command === pollName ? middle : occurrences).flatMap((occurrence) =>
        breaks.flatMap((how) => endings.map((ending): Point => ({ strategy, command, occurrence, ...how, ending }))),
      );
    }),
  );
}

/**
 * Each command and each fault of each strategy at least twice, `up` and `destroy` in turn, at least `least` in all. Of commands of one
 * name, which are given again and again in a move, chance takes one each time. The same seed gives the same spread of the same recordings, and a strategy's
 * points do not hang on the others.
 */
export function spread(recordings: Recordings, seed: number, least = 200): Point[] {
  const spreads = strategies.map((strategy, index) => endlessSpread(strategy, groupsOf(recordings[strategy]), chanceOf(seed + index)));
  const points = spreads.flatMap((next) => next());
  for (let round = 0; points.length < least && points.length > 0; round++) {
    points.push(...(spreads[round % spreads.length]?.() ?? []).slice(0, least - points.length));
  }
  return points.sort((a, b) => strategies.indexOf(a.strategy) - strategies.indexOf(b.strategy));
}

/** Points of a spread, each with a second break in the run that goes on. */
export function pairs(recordings: Recordings, seed: number, count: number): Point[] {
  const chance = chanceOf(seed);
  const turns = endless(breaks, chance);
  const all = shuffled(spread(recordings, seed, count), chance).slice(0, count);
  return all.map((point) => ({ ...point, second: { nth: anyCommand(chance), ...turns() } }));
}

/** Each call: every command at least twice, and every fault. */
function endlessSpread(strategy: Strategy, groups: readonly Group[], chance: () => number): () => Point[] {
  const rounds = groups.length === 0 ? 0 : Math.max(2, Math.ceil((2 * breaks.length) / groups.length));
  const turns = endless(breaks, chance);
  const inRound = (round: number) =>
    shuffled([...groups.entries()], chance).map(([index, { command, occurrences }]): Point => {
      const ending = endings[(round + index) % endings.length] ?? "up";
      return { strategy, command, occurrence: pick(command === pollName ? surely(occurrences) : occurrences, chance), ...turns(), ending };
    });
  return () => Array.from({ length: rounds }, (_, round) => inRound(round)).flat();
}
