/**
 * The sidecar of a copied layer: what it is a copy of, how far the copy is safely on the storage, and who stands on it.
 * Pure; sidecar.ts and copy.ts write it, always under the lock of the sidecar file itself.
 */

import { type FileIdentity, isUnchanged } from "../../core/disk/chain.js";
import type { DiskKey } from "../../core/disk/names.js";

/** What a layer is a copy of. Two copies with equal origins are interchangeable. */
export interface Origin {
  source: FileIdentity;
  /** Stands for the backing name written into the copy; `as-in-source` where the header was left alone. */
  backing: string;
}

/** How far a copy is. A file is known by its inode on the sidecar's own file system: device numbers change with a reboot. */
export type CopyState =
  /** The name's random part is recorded before the file is made; `ino` is there once it was. */
  | { phase: "partial"; suffix: string; ino?: string; doneBytes: number }
  | { phase: "finished"; ino: string; sizeBytes: number; modified: string };

export interface LayerRecord {
  origin: Origin;
  copy: CopyState;
  /** Disks whose move is under way: an undo takes them off, and the last one takes the layer along. */
  moving: readonly DiskKey[];
  /** Disks whose move has ended on this layer: it stays. */
  kept: readonly DiskKey[];
}

const firstLine = "pulumi-livedisk layer 1";
const keyPattern = /^[0-9a-f]{8}$/;
const countPattern = /^\d{1,15}$/;
const timePattern = /^-?\d+(\.\d+)?$/;

export function formatRecord({ origin, copy, moving, kept }: LayerRecord): string[] {
  const { dev, ino, sizeBytes, modified } = origin.source;
  return [
    firstLine,
    `source ${dev} ${ino} ${sizeBytes} ${modified}`,
    `backing ${origin.backing}`,
    copy.phase === "finished"
      ? `finished ${copy.ino} ${copy.sizeBytes} ${copy.modified}`
      : `partial ${copy.suffix} ${copy.ino ?? "unmade"} ${copy.doneBytes}`,
    ...moving.map((key) => `user ${key}`),
    ...kept.map((key) => `kept ${key}`),
    "end",
  ];
}

/** Reads a sidecar's lines; `empty` was locked for the first time and not yet written, `foreign` was not written by us. */
export function parseRecord(lines: readonly string[]): LayerRecord | "empty" | "foreign" {
  if (lines.length === 0) return "empty";
  const [head, source, backing, copy, ...users] = lines;
  const origin = parseOrigin(source, backing);
  const state = parseCopy(copy);
  if (head !== firstLine || users.pop() !== "end" || origin === undefined || state === undefined) return "foreign";
  const moving = keysAfter("user", users);
  const kept = keysAfter("kept", users);
  if (moving.length + kept.length !== users.length) return "foreign";
  return { origin, copy: state, moving, kept };
}

function parseOrigin(sourceLine = "", backingLine = ""): Origin | undefined {
  const [word, dev = "", ino = "", size = "", modified = "", ...more] = sourceLine.split(" ");
  const backing = /^backing (as-in-source|[0-9a-f]{16})$/.exec(backingLine)?.[1];
  if (word !== "source" || backing === undefined || more.length > 0) return undefined;
  if (![dev, ino].every((number) => /^\d+$/.test(number)) || !countPattern.test(size) || !timePattern.test(modified)) return undefined;
  return { source: { dev, ino, sizeBytes: Number(size), modified }, backing };
}

function parseCopy(line = ""): CopyState | undefined {
  const [word, first = "", second = "", third = "", ...more] = line.split(" ");
  if (more.length > 0) return undefined;
  if (word === "finished" && /^\d+$/.test(first) && countPattern.test(second) && timePattern.test(third)) {
    return { phase: "finished", ino: first, sizeBytes: Number(second), modified: third };
  }
  if (word === "partial" && /^[0-9a-f]{16}$/.test(first) && /^(unmade|\d+)$/.test(second) && countPattern.test(third)) {
    return { phase: "partial", suffix: first, doneBytes: Number(third), ...(second === "unmade" ? {} : { ino: second }) };
  }
  return undefined;
}

function keysAfter(word: "user" | "kept", lines: readonly string[]): DiskKey[] {
  return lines.filter((line) => line.startsWith(`${word} `) && keyPattern.test(line.slice(5))).map((line) => line.slice(5));
}

/** With `user` among those who move. A disk that comes back after a finished move stands under one heading only. */
export function withMover<Record extends LayerRecord>(record: Record, user: DiskKey): Record {
  return { ...record, moving: [...record.moving.filter((key) => key !== user), user], kept: record.kept.filter((key) => key !== user) };
}

export function withoutMover<Record extends LayerRecord>(record: Record, user: DiskKey): Record {
  return { ...record, moving: record.moving.filter((key) => key !== user) };
}

/** With `user`'s move ended on this layer. */
export function withKept(record: LayerRecord, user: DiskKey): LayerRecord {
  return { ...record, moving: record.moving.filter((key) => key !== user), kept: [...record.kept.filter((key) => key !== user), user] };
}

/** What becomes of the files when this record is all that is left. */
export function fate(record: LayerRecord): "all stays" | "layer stays" | "all goes" {
  if (record.moving.length > 0) return "all stays";
  return record.kept.length > 0 ? "layer stays" : "all goes";
}

export function sameOrigin(a: Origin, b: Origin): boolean {
  return isUnchanged(a.source, b.source) && a.backing === b.backing;
}
