/** Where and how a switch is cut. Pure. */

import { chanceOf, shuffled } from "../faults/chance.js";
import type { SceneOptions } from "./scene.js";

/** Who is killed when the switch's child comes to a call: before the call is carried out. Of these that live, the child goes on. */
export const deaths = ["child", "worker", "QEMU", "child and worker", "worker and QEMU", "child, worker and QEMU"] as const;
export type Death = (typeof deaths)[number];

export const failures = ["EIO", "ENOSPC", "EROFS"] as const;
/** `nobody`: nothing happens, to see which calls there are. */
export type Fault = Death | (typeof failures)[number] | "nobody";

/** The n-th call of this name that the child makes, counted from 1. */
export interface Call {
  name: string;
  occurrence: number;
}

export interface Point extends SceneOptions, Call {
  fault: Fault;
}

/** Calls that say, change or lock something, or end: between two of them nothing is different for anybody else. */
export const telling = /^(sendto|recvfrom|rename|renameat|renameat2|link|linkat|unlink|unlinkat|fsync|write|fcntl|exit_group)$/;

/** Calls on files, which may fail. */
export const onFiles = /^(openat|newfstatat|fstat|stat|lstat|rename|renameat|renameat2|link|linkat|unlink|unlinkat|fsync|write|fcntl)$/;

export const changing = /^(rename|renameat|renameat2|link|linkat|unlink|unlinkat|fsync|write)$/;

export const scenes: readonly SceneOptions[] = [1, 2].flatMap((disks) =>
  (["raw", "qcow2"] as const).flatMap((format) => (["link", "names", "record"] as const).map((decides) => ({ disks, format, decides }))),
);

export function isFailure(fault: string): boolean {
  return (failures as readonly string[]).includes(fault);
}

export function titleOf({ disks, format, decides, fault, name, occurrence }: Point): string {
  return `${disks} ${format}, ${decides}: ${isFailure(fault) ? `${fault} of` : `${fault} killed at`} ${name} #${occurrence}`;
}

/** Of a trace of the child without a fault: its calls in order. */
export function callsIn(trace: string): Call[] {
  const counts = new Map<string, number>();
  return trace.split("\n").flatMap((line) => {
    const name = /^(\w+)\(/.exec(line)?.[1];
    if (name === undefined) return [];
    const occurrence = (counts.get(name) ?? 0) + 1;
    counts.set(name, occurrence);
    return [{ name, occurrence }];
  });
}

/** Every kind of death at each call that matters to somebody else, the child's alone at each one; every error where it can come. */
export function pointsOf(scene: SceneOptions, calls: readonly Call[]): Point[] {
  const at = (fault: Fault, where: RegExp) => calls.filter(({ name }) => where.test(name)).map((call) => ({ ...scene, ...call, fault }));
  return [
    ...deaths.flatMap((fault) => at(fault, fault === "child" ? /./ : telling)),
    ...failures.flatMap((fault) => at(fault, fault === "EIO" ? onFiles : changing)),
  ];
}

/** So many points at random, evenly over scenes and faults. The same seed gives the same ones of the same points. */
export function spread(points: readonly Point[], seed: number, count: number): Point[] {
  const groups = Map.groupBy(points, ({ disks, format, decides, fault }) => [disks, format, decides, fault].join());
  return evenly([...groups.values()], chanceOf(seed)).slice(0, count);
}

/** All of them, in turn one of each group, as chance has it. */
export function evenly<T>(groups: readonly (readonly T[])[], chance: () => number): T[] {
  const turns = shuffled(groups, chance).map((group) => shuffled(group, chance));
  const rounds = Math.max(0, ...turns.map(({ length }) => length));
  return Array.from({ length: rounds }, (_, round) => turns.flatMap((group) => group.slice(round, round + 1))).flat();
}
