/** What a StorageMigration's state says: what was declared, and the disks as they were last seen. Pure. */

import { z } from "zod";
import type { Properties } from "../../core/lifecycle.js";
import { declaredOutput } from "../../flows/move/look/declared.js";
import type { DiskReport } from "../../flows/move/report.js";

/** Arguments that read shows as they are, whatever was declared. */
export const shownArguments = ["destination"];

export function declaredAs(destination: string): { declared: Properties } {
  return declaredOutput(shownArguments, { destination });
}

export type Moves = Readonly<Record<string, DiskReport>>;

/** What the state says of the disks; states of older versions, and `{}`, say nothing. */
export function movesIn(properties: Properties): Moves {
  const moves = z.record(
    z.string(),
    z.custom<DiskReport>((report) => typeof report === "object" && report !== null && "phase" in report && "chain" in report),
  );
  return moves.safeParse(properties.moves).data ?? {};
}

/** With `onDrift: "report"` a disk that somebody moved stays where it is until `destination` changes. */
export function isOnlyReported({ onDrift, destination }: Properties, before: Properties, disks: readonly string[]): boolean {
  const phases = disks.map((disk) => movesIn(before)[disk]?.phase);
  const isAtRest = phases.every((phase) => phase === "idle" || phase === "settled");
  return onDrift === "report" && before.destination === destination && isAtRest && phases.includes("idle");
}
