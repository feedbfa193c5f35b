/** What copying a layer begins with, from what lies there. Pure. */

import type { DiskKey } from "../disk/names.js";
import { type CopyState, type LayerRecord, type Origin, sameOrigin } from "./layer-record.js";
import type { LayerSeen } from "./layer-shell.js";

type Partial = Extract<CopyState, { phase: "partial" }>;

export type CopyStart =
  /** The finished copy is there. */
  | { start: "join"; record: LayerRecord }
  /** A partial of ours is recorded; whether the file is still there is seen when it is used. */
  | { start: "continue"; record: LayerRecord; partial: Partial & { ino: string } }
  /** All bytes are there and the name is given: only the record does not say so yet. */
  | { start: "record"; record: LayerRecord }
  /** `discard`: a partial of a file that is no longer wanted. */
  | { start: "anew"; discard?: Partial }
  | { start: "refuse"; why: string };

/** `user` wants a copy of `origin`. */
export function copyStart({ record, layer }: LayerSeen, origin: Origin, user: DiskKey): CopyStart {
  if (record === "foreign")
    return { start: "refuse", why: "its sidecar (.lm-layer) was not written by this program, or was changed by hand; move it away" };
  if (record === "empty") return layer === undefined ? { start: "anew" } : strangerThere;
  const { copy } = record;
  const same = sameOrigin(record.origin, origin);
  if (copy.phase === "finished") {
    if (layer === undefined) return { start: "anew" };
    if (layer.ino !== copy.ino) return strangerThere;
    if (layer.sizeBytes !== copy.sizeBytes || layer.modified !== copy.modified) {
      return { start: "refuse", why: "the copy there was written to after it was made; move it away" };
    }
    return same ? { start: "join", record } : otherOrigin;
  }
  if (layer !== undefined) {
    if (layer.ino !== copy.ino) return strangerThere;
    return same ? { start: "record", record } : otherOrigin;
  }
  const { ino } = copy;
  if (same && ino !== undefined) return { start: "continue", record, partial: { ...copy, ino } };
  if (!same && record.moving.some((key) => key !== user)) return otherOrigin;
  return { start: "anew", discard: copy };
}

const strangerThere: CopyStart = { start: "refuse", why: "a file that is not ours has that name already; move it away" };

const otherOrigin: CopyStart = {
  start: "refuse",
  why: "another disk's move keeps a copy there of another file, of an earlier state of it, or with another backing name; let that move end first",
};
