/** What a pull is in the words of a disk's status. Pure. */

import type { DiskStatus } from "../shared/status.js";
import type { SeenPull } from "./plan.js";

const ofPhases: Readonly<Record<SeenPull["phase"], DiskStatus>> = {
  settled: "settled",
  deeper: "elsewhere",
  pulling: "moving",
  stalled: "needs-attention",
  pending: "moving",
  contradiction: "needs-attention",
};

export function statusOfPull({ phase }: SeenPull): DiskStatus {
  return ofPhases[phase];
}
