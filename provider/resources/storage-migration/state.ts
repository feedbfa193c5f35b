/** What a StorageMigration's state says: what was declared, and the disks as they were last seen. Pure. */

import { z } from "zod";
import type { Properties } from "../../core/lifecycle.js";
import { declaredOutput } from "../../flows/move/look/declared.js";
import type { DiskReport } from "../../flows/move/report.js";
import { statusIn } from "../../flows/shared/status.js";

/** Arguments that read shows as they are, whatever was declared. */
export const shownArguments = ["destination"];

export function declaredAs(destination: string): { declared: Properties } {
  return declaredOutput(shownArguments, { destination });
}

export type Moves = Readonly<Record<string, DiskReport>>;

/** What the state says of the disks, also one of 0.1.0, which has no status; `{}` says nothing. */
export function movesIn(properties: Properties): Moves {
  return reports.safeParse(properties.moves).data ?? {};
}

const reports = z.record(
  z.string(),
  z
    .custom<DiskReport>((report) => typeof report === "object" && report !== null && "chain" in report)
    .transform((report, context) => {
      const status = statusIn(report);
      if (status !== undefined) return { ...report, status };
      context.addIssue("it says nothing of where the disk stands");
      return z.NEVER;
    }),
);

/** A state's outputs as this version writes them, for a guest that cannot be looked at. */
export function asWrittenNow(outputs: Properties): Properties {
  const moves = movesIn(outputs);
  return Object.keys(moves).length > 0 ? { ...outputs, moves } : outputs;
}

/** With `onDrift: "report"` a disk that somebody moved stays where it is until `destination` changes. */
export function isOnlyReported({ onDrift, destination }: Properties, before: Properties, disks: readonly string[]): boolean {
  const moves = movesIn(before);
  const statuses = disks.map((disk) => moves[disk]?.status);
  // what holds a disk in a mirrored snapshot is to be told, and not passed over
  const isFree = disks.every((disk) => moves[disk]?.phase !== "snapshotted");
  const isAtRest = isFree && statuses.every((status) => status === "elsewhere" || status === "settled");
  return onDrift === "report" && before.destination === destination && isAtRest && statuses.includes("elsewhere");
}
