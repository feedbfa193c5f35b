/** Names that we give: to nodes, jobs and files. All derive from (domain id, qdev), so that a later run finds them again. */

import { createHash } from "node:crypto";
import type { Moment } from "../world.js";

/** Eight hex digits that stand for one disk of one domain; the same in every run. */
export type DiskKey = string;

/** `qdev` is the name that QEMU itself reports for the device, never the user's spelling. */
export function diskKey(domainId: string, qdev: string): DiskKey {
  return createHash("sha256").update(`${domainId}\0${qdev}`).digest("hex").slice(0, 8);
}

/** Node names of one disk. At most 31 bytes: QEMU refuses 32 ("Node name too long"). */
export const nodeNames = {
  /** Two names in turn: a finished move leaves its target open as the active image, and the next move needs another. */
  targets: (key: DiskKey) => [`lm-${key}-tgt-a`, `lm-${key}-tgt-b`] as const,
  overlay: (key: DiskKey) => `lm-${key}-ovl`,
  /** The copied former image, by turns as `targets` are. */
  landings: (key: DiskKey) => [`lm-${key}-act-a`, `lm-${key}-act-b`] as const,
  filter: (key: DiskKey) => `lm-${key}-flt`,
  probe: (key: DiskKey) => `lm-${key}-probe`,
  /** The overlay of a mirrored snapshot, and the copied chain that its mirror gets before the pivot: numbered, since both may stay open. */
  snapshot: (key: DiskKey, number: number) => `lm-${key}-snap-${number}`,
  copied: (key: DiskKey, number: number) => `lm-${key}-copied-${number}`,
  /** A lower layer at the destination, held open read-only while it is compared; `index` counts from the layer below the active one. */
  held: (key: DiskKey, index: number) => `lm-${key}-held-${index}`,
};

export const jobNames = {
  mirror: (key: DiskKey) => `lm-${key}-mirror`,
  commit: (key: DiskKey) => `lm-${key}-commit`,
  blockpull: (key: DiskKey) => `lm-${key}-blockpull`,
};

/** Every name that a job of ours on this disk can have. */
export function jobNamesOf(key: DiskKey): readonly string[] {
  return Object.values(jobNames).map((name) => name(key));
}

/** Files of one move, beside the images. */
export const fileNames = {
  manifest: (key: DiskKey) => `lm-${key}.manifest.json`,
  lock: (key: DiskKey) => `lm-${key}.lock`,
  probe: (key: DiskKey) => `lm-${key}.probe`,
  /** The target before it has its own name. */
  newborn: (key: DiskKey) => `lm-${key}.new`,
  /** The overlay of strategy snapshot, at both sides. One that collapse `none` has left is a layer now: the next has another name. */
  overlay: (key: DiskKey, layers: readonly string[] = []) => {
    const name = (turn: number) => `lm-${key}.overlay${turn === 1 ? "" : `-${turn}`}.qcow2`;
    let turn = 1;
    while (layers.includes(name(turn))) turn++;
    return name(turn);
  },
  /** The copied former image where it is to be pulled away. */
  passing: (name: string, key: DiskKey) => `lm-${key}.${name}`,
  /** The link as it shall be after the switch, and as it was before. */
  linkNext: (link: string, key: DiskKey) => `${link}.lm-${key}-next`,
  linkBack: (link: string, key: DiskKey) => `${link}.lm-${key}-back`,
  /** Beside the source's manifest of a switch's first disk: the file whose rename decides a switch without a link. */
  switchRecord: (key: DiskKey) => `lm-${key}.switch.json`,
  /** The sidecar of a lower layer that we copied: who stands on it. */
  sidecar: (layerName: string) => `${layerName}.lm-layer`,
};

/** Beside a manifest while a switch is prepared and under way: what it shall say, and what it says now. */
export function nextOf(manifest: string): string {
  return `${manifest}.next`;
}

export function backOf(manifest: string): string {
  return `${manifest}.back`;
}

/** Beside the source's manifest, of runs of 0.1.0: what is locked as long as their switch through libvirt goes on, and the definition that it writes. */
export function formerSwitchLock(manifest: string): string {
  return `${manifest}.turn`;
}

export function formerDefinition(manifest: string): string {
  return `${manifest}.xml`;
}

/** What it says while libvirt makes a pivot of which the images alone would not tell afterwards that it was made. */
export function markOf(manifest: string): string {
  return `${manifest}.mark`;
}

/** The name under which a stale active image stays behind; the time without colons, so that names sort. */
export function quarantineName(name: string, key: DiskKey, at: Moment): string {
  const utc = at.toISOString().replace(/[-:]/g, "").replace(/\.\d+/, "");
  return `${name}.lm-${key}-${utc}`;
}

/** What stands at a raw image's old name while it is in quarantine: an empty file of our own, and a link to it. */
export function standInNames(quarantine: string): { empty: string; link: string } {
  return { empty: `${quarantine}.empty`, link: `${quarantine}.link` };
}

/** Whether a node or job name is one that we gave, for any disk. */
export function isOurName(name: string): boolean {
  return /^lm-[0-9a-f]{8}-/.test(name);
}

/** Whether a file name is one that {@link fileNames.switchRecord} gives, for any disk. */
export function isSwitchRecordName(name: string): boolean {
  return /^lm-[0-9a-f]{8}\.switch\.json$/.test(name);
}

/** Whether a file name is one that {@link fileNames.overlay} gives. */
export function isOverlayName(key: DiskKey, name: string): boolean {
  return name.startsWith(`lm-${key}.overlay`) && /^.{11}\.overlay(-([2-9]|[1-9]\d+))?\.qcow2$/.test(name);
}
