/** What copying a layer begins with, from what lies there. Pure. */

import type { Comparison } from "../../core/disk/identity.js";
import type { DiskKey } from "../../core/disk/names.js";
import type { FileSeen } from "../../host/file-seen.js";
import type { LayerSeen } from "./layer.js";
import { type CopyState, compareOrigins, compareToRecord, type LayerRecord, type Origin } from "./layer-record.js";

type Users = Pick<LayerRecord, "moving" | "kept">;
type Partial = Extract<CopyState, { phase: "partial" }>;

export type CopyStart =
  /** The finished copy is there. */
  | { start: "join"; record: LayerRecord }
  /** A partial of ours is recorded; whether the file is still there is seen when it is used. */
  | { start: "continue"; record: LayerRecord; partial: Partial & { ino: string } }
  /** All bytes are there and the name is given: the record does not say so yet, and the partial's name may still be there too. */
  | { start: "record"; record: LayerRecord }
  /** `standing`: who stands on it besides. `discard`: a partial that holds something else, or nothing. */
  | { start: "anew"; standing: Users; discard?: Partial }
  /** `left-behind`: because of a regular file that no move stands on, perhaps a copy whose last user's move has just ended. */
  | { start: "refuse"; why: string; what?: "left-behind" }
  /** All bytes of a copy are there, and it is not proved that it is ours, or one of the same file: it is joined once it is seen to hold the same. */
  | { start: "refuse"; why: string; what: "unproved"; record: LayerRecord };

/** `user` wants a copy of `origin`. */
export function copyStart({ record, layer }: LayerSeen, origin: Origin, user: DiskKey): CopyStart {
  if (record === "foreign")
    return { start: "refuse", why: "its sidecar (.lm-layer) was not written by this program, or was changed by hand; move it away" };
  if (record === "empty") {
    if (layer === undefined) return { start: "anew", standing: nobody };
    return layer.kind === "file" ? { ...strangerThere, what: "left-behind" } : strangerThere;
  }
  const origins = compareOrigins(record.origin, origin);
  if (layer === undefined) return withoutLayer(record, originFor(record, origins, user), user);
  return withLayer({ record, layer }, origins, user);
}

function withLayer({ record, layer }: { record: LayerRecord; layer: FileSeen }, origins: Comparison, user: DiskKey): CopyStart {
  const { copy, moving, kept } = record;
  const compared = compareToRecord(layer, copy);
  if (compared === "different") return strangerThere;
  if (copy.phase === "partial") {
    if (origins === "different") return otherOrigin;
    return compared === "same" && origins === "same" ? { start: "record", record } : unproved(record, origins);
  }
  if (layer.sizeBytes !== copy.sizeBytes || layer.modified !== copy.modified) {
    return { start: "refuse", why: "the copy there was written to after it was made; move it away" };
  }
  // what this very move stands on already, it has copied or compared
  const isProved = compared === "same" && origins === "same";
  return isProved || (origins !== "different" && [...moving, ...kept].includes(user))
    ? { start: "join", record }
    : unproved(record, origins);
}

function unproved(record: LayerRecord, origins: Comparison): CopyStart {
  const why = "it is not proved that the copy which another disk's move keeps there is one of the same file; let that move end first";
  return { start: "refuse", why: origins === "different" ? otherOrigin.why : why, what: "unproved", record };
}

/** Of a copy that is not finished: nobody joins one of which it is not known what it is a copy of. */
function originFor({ moving, kept }: LayerRecord, origins: Comparison, user: DiskKey): "same" | "other" {
  return origins === "same" || (origins === "unknown" && [...moving, ...kept].every((key) => key === user)) ? "same" : "other";
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

const nobody: Users = { moving: [], kept: [] };

const strangerThere = { start: "refuse", why: "a file that is not ours has that name already; move it away" } as const;

const otherOrigin = {
  start: "refuse",
  why: "another disk's move keeps a copy there of another file, of an earlier state of it, or with another backing name; let that move end first",
} as const;
