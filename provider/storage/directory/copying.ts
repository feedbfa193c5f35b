/** What the parts of copying one layer share. */

import type { FileIdentity } from "../../core/disk/chain.js";
import type { DiskKey } from "../../core/disk/names.js";
import type { Host } from "../../host/host.js";
import type { Layer } from "./layer.js";
import type { CopyState, LayerRecord } from "./layer-record.js";

export interface CopyOptions {
  source: string;
  /** Must hold at the start and at the end. */
  sourceIdentity: FileIdentity;
  /** What the guest has open, as `dev:ino`: the source must be one of these. Undefined where its process is not to be seen. */
  openFiles?: ReadonlySet<string> | undefined;
  /** What lies at the destination and was seen to hold the same as the source. */
  compared?: FileIdentity;
  destination: string;
  /** The disk that will stand on the copy. */
  user: DiskKey;
  /** Written into the copy's header; without it the header stays as it is. */
  rewriteBacking?: { name: string; format: string };
  /** Asked again while it runs; `0` is no limit. */
  maxBytesPerSecond: () => number;
  /** Bytes of data, holes left out; first called before the first byte, with what an earlier run has copied. */
  progress: (bytesDone: number, bytesTotal: number) => void;
  /** Told where another move's copy of the same layer stands while this one waits for it. */
  waiting?: (text: string) => void;
  stop: AbortSignal;
  /** So long without an answer, or without growth of a copy that is waited for, is an error. */
  stallSeconds: number;
}

/** What the steps of one copy share. */
export interface Copying {
  host: Host;
  layer: Layer;
  options: CopyOptions;
}

/** A record of a copy that is not finished. */
export type PartialRecord = LayerRecord & { copy: Extract<CopyState, { phase: "partial" }> };

export function newPartial({ world }: Host): PartialRecord["copy"] {
  return { phase: "partial", suffix: world.token(8), doneBytes: 0 };
}

/** How every error of a copy begins. */
export function unable(host: Host, { source, destination }: Pick<CopyOptions, "source" | "destination">): string {
  return `Unable to copy ${source} to ${destination} on ${host.name}`;
}
