/** What a MirroredSnapshot's state says: its disks as they were last seen. Pure. */

import { z } from "zod";
import type { Properties } from "../../core/lifecycle.js";
import type { SnapshotReport } from "../../flows/mirrored-snapshot/report.js";
import { statusIn } from "../../flows/mirrored-snapshot/status.js";

const reports = z.record(
  z.string(),
  z
    .custom<SnapshotReport>((report) => typeof report === "object" && report !== null && ("status" in report || "state" in report))
    .transform((report) => ({ ...report, status: statusIn(report) })),
);

/** What the state says of the disks, also one of 0.1.0, which has no status; `{}` says nothing. */
export function statesIn(properties: Properties): Readonly<Record<string, SnapshotReport>> {
  return reports.safeParse(properties.states).data ?? {};
}

/** A state's outputs as this version writes them, for a guest that cannot be looked at. */
export function asWrittenNow(outputs: Properties): Properties {
  const states = statesIn(outputs);
  return Object.keys(states).length > 0 ? { ...outputs, states } : outputs;
}
