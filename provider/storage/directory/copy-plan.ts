/** What copying a layer begins with, from what lies there. Pure. */

import type { DiskKey } from "../../core/disk/names.js";
import type { LayerSeen } from "./layer.js";
import { type CopyState, type LayerRecord, type Origin, sameOrigin } from "./layer-record.js";

type Standing = Pick<LayerRecord, "moving" | "kept">;
type Partial = Extract<CopyState, { phase: "partial" }>;

export type CopyStart =
  /** The finished copy is there. */
  | { start: "join"; record: LayerRecord }
  /** A partial of ours is recorded; whether the file is still there is seen when it is used. */
  | { start: "continue"; record: LayerRecord; partial: Partial & { ino: string } }
  /** All bytes are there and the name is given: the record does not say so yet, and the partial's name may still be there too. */
  | { start: "record"; record: LayerRecord }
  /** `standing`: who stands on it besides. `discard`: a partial that holds something else, or nothing. */
  | { start: "anew"; standing: Standing; discard?: Partial }
  /** `left-behind`: because of a regular file that no move stands on, perhaps a copy whose last user's move has just ended. */
  | { start: "refuse"; why: string; what?: "left-behind" };

/** `user` wants a copy of `origin`. */
export function copyStart({ record, layer }: LayerSeen, origin: Origin, user: DiskKey): CopyStart {
  if (record === "foreign")
    return { start: "refuse", why: "its sidecar (.lm-layer) was not written by this program, or was changed by hand; move it away" };
  if (record === "empty") {
    if (layer === undefined) return { start: "anew", standing: nobody };
    return layer.kind === "file" ? { ...strangerThere, what: "left-behind" } : strangerThere;
  }
  const { copy } = record;
  if (layer !== undefined && layer.ino !== copy.ino) return strangerThere;
  const same = sameOrigin(record.origin, origin);
  if (layer === undefined) return withoutLayer(record, same ? "same" : "other", user);
  if (copy.phase === "finished" && (layer.sizeBytes !== copy.sizeBytes || layer.modified !== copy.modified)) {
    return { start: "refuse", why: "the copy there was written to after it was made; move it away" };
  }
  if (!same) return otherOrigin;
  return copy.phase === "finished" ? { start: "join", record } : { start: "record", record };
}

function withoutLayer(record: LayerRecord, origin: "same" | "other", user: DiskKey): CopyStart {
  const { copy, moving, kept } = record;
  if (origin === "other" && [...moving, ...kept].some((key) => key !== user)) return otherOrigin;
  const standing = origin === "same" ? { moving, kept } : nobody;
  if (copy.phase === "finished") return { start: "anew", standing };
  const { ino } = copy;
  if (origin === "other" || ino === undefined) return { start: "anew", standing, discard: copy };
  return { start: "continue", record, partial: { ...copy, ino } };
}

const nobody: Standing = { moving: [], kept: [] };

const strangerThere = { start: "refuse", why: "a file that is not ours has that name already; move it away" } as const;

const otherOrigin: CopyStart = {
  start: "refuse",
  why: "another disk's move keeps a copy there of another file, of an earlier state of it, or with another backing name; let that move end first",
};
