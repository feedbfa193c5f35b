/** What a preview says of a mirrored snapshot: what `up` will do, and what deleting it will do then. Pure. */

import { impossible } from "../../core/errors.js";
import type { SnapshotDisk } from "./snapshot-xml.js";
import type { SnapshotStatus } from "./status.js";

/** As a state says that the disk was last seen. */
export interface LastSeen {
  status: SnapshotStatus;
  /** Where the state has one: of some it is known more exactly what `up` will do. */
  state?: string;
}

/** Undefined where there is nothing to say of the disk. */
export function snapshotLine(
  { disk, file, mirror }: SnapshotDisk,
  seen: LastSeen | undefined,
  changed: readonly string[],
  onDelete: "pivot" | "abort" | undefined,
): string | undefined {
  const told = [...now(file, mirror, seen), ...(changed.includes("onDelete") ? [whenDeleted(file, mirror, onDelete)] : [])];
  return told.length === 0 ? undefined : `${disk}: ${told.join("; ")}`;
}

function now(file: string, mirror: string, seen: LastSeen | undefined): string[] {
  const { status = "settled", state = "" } = seen ?? {};
  if (["lost", "broken-off"].includes(state)) return [`empty ${mirror} and mirror to it again; the guest stays on ${file}`];
  switch (status) {
    case "settled":
      return [];
    case "elsewhere":
      return [`take the snapshot, then mirror until every write goes to ${file} and to ${mirror}`];
    case "moving":
      return [`go on with what was begun, until every write goes to ${file} and to ${mirror}`];
    case "switching":
      return ["end the pivot that was begun, on the side that `current` names"];
    case "cleaning-up":
      return [`finish the pivot: the guest runs on ${mirror}`];
    case "needs-attention":
      return [`go on until every write goes to ${file} and to ${mirror}, if what stopped it is no longer there`];
    default:
      return impossible(status);
  }
}

function whenDeleted(file: string, mirror: string, onDelete: "pivot" | "abort" | undefined): string {
  if (onDelete === undefined) return "deleting it will be refused: onDelete names no ending";
  if (onDelete === "abort") return `deleting it will drop ${mirror} and leave the guest on ${file}`;
  return `deleting it will compare the copies, then let the guest run on ${mirror}, and rename ${file}`;
}
