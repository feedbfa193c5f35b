/**
 * The sidecar of a copied layer: what it is a copy of, how far the copy is safely on the storage, and who stands on it.
 * Pure; sidecar.ts and copy.ts write it, always under the lock of the sidecar file itself.
 */

import { compareFiles, type FileIdentity, isUnchanged } from "../../core/disk/chain.js";
import { type Comparison, type Identity, identity } from "../../core/disk/identity.js";
import type { DiskKey } from "../../core/disk/names.js";
import { parseJson } from "../../core/json.js";

/** What a layer is a copy of. Two copies with the same origin are interchangeable. */
export interface Origin {
  source: FileIdentity;
  /** Stands for the backing name written into the copy; `as-in-source` where the header was left alone. */
  backing: string;
}

/** How far a copy is. 0.1.0 wrote the inode alone of a file. */
export type CopyState =
  /** The name's random part is recorded before the file is made; what it is is there once it was. */
  | { phase: "partial"; suffix: string; ino?: string; identity?: Identity | undefined; doneBytes: number }
  | { phase: "finished"; ino: string; identity?: Identity | undefined; sizeBytes: number; modified: string };

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
    ...identityLine("source", origin.source.identity),
    ...identityLine("copy", copy.identity),
    ...moving.map((key) => `user ${key}`),
    ...kept.map((key) => `kept ${key}`),
    "end",
  ];
}

/** Reads a sidecar's lines; `empty` was locked for the first time and not yet written, `foreign` was not written by us. */
export function parseRecord(lines: readonly string[]): LayerRecord | "empty" | "foreign" {
  if (lines.length === 0) return "empty";
  const [head, source, backing, copy, ...rest] = lines;
  const of = takeIdentity("source", rest);
  const is = takeIdentity("copy", of.rest);
  if (of.identity === "foreign" || is.identity === "foreign") return "foreign";
  const users = is.rest;
  const origin = parseOrigin(source, backing, of.identity);
  const state = parseCopy(copy, is.identity);
  if (head !== firstLine || users.pop() !== "end" || origin === undefined || state === undefined) return "foreign";
  const moving = keysAfter("user", users);
  const kept = keysAfter("kept", users);
  if (moving.length + kept.length !== users.length) return "foreign";
  return { origin, copy: state, moving, kept };
}

function identityLine(of: "source" | "copy", known: Identity | undefined): string[] {
  return known ? [`${of}-is ${JSON.stringify(known)}`] : [];
}

interface Taken {
  identity: Identity | "foreign" | undefined;
  rest: string[];
}

/** The line is the first of the rest, or not there. */
function takeIdentity(of: "source" | "copy", lines: readonly string[]): Taken {
  const word = `${of}-is `;
  const [line = "", ...rest] = lines;
  if (!line.startsWith(word)) return { identity: undefined, rest: [...lines] };
  return { identity: identity.safeParse(parseJson(line.slice(word.length))).data ?? "foreign", rest };
}

function parseOrigin(sourceLine: string | undefined, backingLine: string | undefined, known: Identity | undefined): Origin | undefined {
  const [word, dev = "", ino = "", size = "", modified = "", ...more] = (sourceLine ?? "").split(" ");
  const backing = /^backing (as-in-source|[0-9a-f]{16})$/.exec(backingLine ?? "")?.[1];
  if (word !== "source" || backing === undefined || more.length > 0) return undefined;
  if (![dev, ino].every((number) => /^\d+$/.test(number)) || !countPattern.test(size) || !timePattern.test(modified)) return undefined;
  return { source: { dev, ino, sizeBytes: Number(size), modified, ...(known && { identity: known }) }, backing };
}

function parseCopy(line = "", known?: Identity): CopyState | undefined {
  const is = known && { identity: known };
  const [word, first = "", second = "", third = "", ...more] = line.split(" ");
  if (more.length > 0) return undefined;
  if (word === "finished" && /^\d+$/.test(first) && countPattern.test(second) && timePattern.test(third)) {
    return { phase: "finished", ino: first, sizeBytes: Number(second), modified: third, ...is };
  }
  if (word === "partial" && /^[0-9a-f]{16}$/.test(first) && /^(unmade|\d+)$/.test(second) && countPattern.test(third)) {
    return { phase: "partial", suffix: first, doneBytes: Number(third), ...(second === "unmade" ? {} : { ino: second, ...is }) };
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

/**
 * `unknown`: nothing says that they are two files, and nothing that they are one. So are two that have one identity at two device numbers within
 * one boot: a file system that was mounted again, or a clone of it beside it.
 */
export function compareOrigins(a: Origin, b: Origin): Comparison {
  if (!isUnchanged(a.source, b.source) || a.backing !== b.backing) return "different";
  const [one, two] = [a.source.identity, b.source.identity];
  if (one && two && one.bootId === two.bootId && one.device !== two.device) return "unknown";
  return compareFiles(a.source, b.source);
}

/** Whether a file is the copy that is recorded. */
export function compareToRecord(found: Pick<FileIdentity, "ino" | "identity">, { ino, identity: is }: CopyState): Comparison {
  return ino === undefined ? "different" : compareFiles(found, { ino, identity: is });
}
