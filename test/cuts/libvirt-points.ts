/** Where and how a switch through libvirt is cut. Pure. */

import { chanceOf } from "../faults/chance.js";
import { type Call, changing, evenly, failures, isFailure, onFiles, telling } from "./points.js";

/** Who is killed when the switch's child comes to a call. A libvirtd that was killed is started again at once. */
export const libvirtDeaths = [
  "child",
  "worker",
  "QEMU",
  "libvirtd",
  "child and worker",
  "child and QEMU",
  "child, worker and QEMU",
] as const;
/** `nobody`: nothing happens, to see which calls there are. */
export type LibvirtFault = (typeof libvirtDeaths)[number] | (typeof failures)[number] | "nobody";

export interface LibvirtPoint extends Call {
  fault: LibvirtFault;
}

export function libvirtTitleOf({ fault, name, occurrence }: LibvirtPoint): string {
  return `libvirt: ${isFailure(fault) ? `${fault} of` : `${fault} killed at`} ${name} #${occurrence}`;
}

/** What virsh is told and answers goes through pipes. */
const talking = /^(read|write)$/;

export function libvirtPointsOf(calls: readonly Call[]): LibvirtPoint[] {
  const at = (fault: LibvirtFault, isWanted: (name: string) => boolean) =>
    calls.filter(({ name }) => isWanted(name)).map((call) => ({ ...call, fault }));
  return [
    ...libvirtDeaths.flatMap((fault) => at(fault, (name) => fault === "child" || talking.test(name) || telling.test(name))),
    ...failures.flatMap((fault) => at(fault, (name) => (fault === "EIO" ? onFiles : changing).test(name))),
  ];
}

/** So many points at random, evenly over faults and calls' names. The same seed gives the same ones of the same points. */
export function spreadOfLibvirt(points: readonly LibvirtPoint[], seed: number, count: number): LibvirtPoint[] {
  const groups = Map.groupBy(points, ({ fault, name }) => `${fault} ${name}`);
  return evenly([...groups.values()], chanceOf(seed)).slice(0, count);
}
