/** What a resource shows of its disks: read from the host, in the words of outputs. */

import { chainReport, type LayerReport } from "../shared/chain-report.js";
import type { Outcome } from "../shared/outcome.js";
import type { PhaseName } from "../shared/phase.js";
import type { SeenDisk } from "../shared/site.js";
import { type DiskStatus, statusOf } from "../shared/status.js";

export interface DiskReport {
  /**
   * Where the disk stands.
   *
   * A state of 0.1.0 has it from the first refresh or update on.
   */
  status: DiskStatus;
  /** @deprecated since 0.2.0: use `status`. It is an internal word, and the next version does not show it. */
  phase: PhaseName;
  /** Where a boot must find the disk: through the link, where that leads to the disk. */
  bootPath: string;
  /** The live backing chain, the active image first: path, format, virtual and allocated bytes (rounded to MiB) of each layer. */
  chain: LayerReport[];
  /** Bytes of the layers that the last move copied; another disk's copy that was joined counts nothing. */
  copiedBytes?: number;
  /** At most so many milliseconds guest I/O waited in the last switch; absent where it was ended without us. */
  pauseMs?: number;
  /** How many seconds the last run took that did something to this disk. */
  seconds?: number;
  /** What the last move left behind, and why. */
  left?: string[];
}

/** `before`: what the state says of the last move, for a run that did nothing to this disk. */
export function diskReport(disk: SeenDisk, outcome?: Outcome, before?: Partial<DiskReport>): DiskReport {
  const told = outcome?.tell(disk.disk) ?? { ...before };
  const { copiedBytes, pauseMs, seconds, left } = told;
  return {
    status: statusOf(disk),
    phase: disk.seen.phase,
    bootPath: bootPathOf(disk),
    chain: chainReport(disk.image.chain),
    ...(copiedBytes === undefined ? {} : { copiedBytes }),
    ...(pauseMs === undefined ? {} : { pauseMs }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(left === undefined ? {} : { left }),
  };
}

/** What somebody has put on top of an image of the move takes the guest's writes: a boot must use that. */
export function bootPathOf({ seen, bootPath }: SeenDisk): string {
  return seen.phase === "contradiction" && seen.foreignTop !== undefined ? seen.foreignTop : bootPath;
}

/** What differs from where the disk is wanted, or from where its next start would find it. */
export function driftOf({ disk, seen, image, active }: SeenDisk, called = disk): string | undefined {
  if (seen.phase === "idle") return `${called} is at ${active.named}`;
  if (image.definedAt === undefined || image.definedAt === image.chain[0].path) return undefined;
  return `${called} is at ${active.named}, but the persistent definition names ${image.definedAt}: the next start would find that`;
}
