/** What a preview says of a mirrored snapshot: what `up` will do, and what deleting it will do then. Pure. */

import type { SnapshotState } from "./observation.js";
import type { SnapshotDisk } from "./snapshot-xml.js";

/** Undefined where there is nothing to say of the disk. */
export function snapshotLine(
  { disk, file, mirror }: SnapshotDisk,
  state: SnapshotState | undefined,
  changed: readonly string[],
  onDelete: "pivot" | "abort" | undefined,
): string | undefined {
  const told = [...now(file, mirror, state), ...(changed.includes("onDelete") ? [whenDeleted(file, mirror, onDelete)] : [])];
  return told.length === 0 ? undefined : `${disk}: ${told.join("; ")}`;
}

function now(file: string, mirror: string, state: SnapshotState | undefined): string[] {
  switch (state) {
    case undefined:
    case "ready":
      return [];
    case "lost":
    case "broken-off":
      return [`empty ${mirror} and mirror to it again; the guest stays on ${file}`];
    case "ended":
    case "contradiction":
      return [`nothing can be done, and \`up\` says why (it is ${state})`];
    default:
      return [`go on with what was begun (it is ${state}), until every write goes to ${file} and to ${mirror}`];
  }
}

function whenDeleted(file: string, mirror: string, onDelete: "pivot" | "abort" | undefined): string {
  if (onDelete === undefined) return "deleting it will be refused: onDelete names no ending";
  if (onDelete === "abort") return `deleting it will drop ${mirror} and leave the guest on ${file}`;
  return `deleting it will compare the copies, then let the guest run on ${mirror}, and rename ${file}`;
}
