/** What a preview says of a move in one line: what `up` will do, from what the last look has shown. Pure; true also where the move was begun. */

import { bytesText } from "../../core/bytes.js";
import { baseName, directoryOf, within } from "../../core/disk/paths.js";
import type { LayerReport } from "../shared/chain-report.js";
import type { MoveOptions } from "../shared/options.js";
import type { PhaseName } from "../shared/phase.js";
import { isUnfinished } from "./report.js";

export interface PlannedDisk {
  disk: string;
  /** As it was last seen; undefined for a disk that nobody has looked at yet. */
  seen: { phase: PhaseName; chain: readonly LayerReport[] } | undefined;
}

export interface PlannedMove {
  disks: readonly PlannedDisk[];
  /** Disks that are looked after no more. */
  dropped?: readonly string[];
  /** Where the disks were wanted when they were last seen, and where a move goes that the state knows of. */
  before: string | undefined;
  destination: string;
  options: Pick<MoveOptions, "strategy" | "collapse" | "keepBase" | "verify" | "afterwards">;
  /** Who moves it: QEMU by its own monitor, or libvirt. */
  by: "qemu" | "libvirt";
}

/** Undefined where nothing will be done. */
export function planLine(move: PlannedMove): string | undefined {
  const moving = move.disks.filter(({ seen }) => isMoved(move, seen));
  const parts = moving.map((disk) => movedDisk(move, disk));
  if (parts.length > 0) parts.push(`${parts.pop()} to ${move.destination}, live: ${stepsOf(move, moving)}`);
  const dropped = (move.dropped ?? []).map((disk) => `${disk}: no longer looked after; a move of it that was begun is ended`);
  const all = [...move.disks.flatMap((disk) => continued(move, disk)), ...parts, ...dropped];
  return all.length === 0 ? undefined : `plan: ${all.join("; ")}`;
}

/** For a disk that is only looked at from now on: undefined where nothing was begun. */
export function endingLine(disk: string, phase: PhaseName): string | undefined {
  return isBegun(phase) ? `plan: ${disk}: end the move that was begun (it is ${phase}): ${endOf(phase)}` : undefined;
}

/** The chain as a move leaves it: what moves lands flat in the destination. */
export function chainAfter(chain: readonly LayerReport[], destination: string, keepBase?: string): LayerReport[] {
  const moving = countMoving(chain, keepBase);
  return chain.map((layer, index) => (index < moving ? { ...layer, path: within(destination, baseName(layer.path)) } : layer));
}

/** A disk that is there already stays; one whose move goes there goes on instead of being moved again. */
function isMoved({ destination, before }: PlannedMove, seen: PlannedDisk["seen"]): boolean {
  if (!seen) return true;
  // the look has compared directories, whatever they are called
  if (before === destination) return seen.phase === "idle";
  const [active] = seen.chain;
  return isBegun(seen.phase) || active === undefined || directoryOf(active.path) !== destination;
}

/** Whether a move is under way, as opposed to a definition that is behind its guest, or a guest that is to be let go on. */
function isBegun(phase: PhaseName): boolean {
  return isUnfinished(phase) && phase !== "misdefined" && phase !== "suspended";
}

function continued({ before, destination }: PlannedMove, { disk, seen }: PlannedDisk): string[] {
  if (!seen) return []; // nobody has looked at it yet
  const { phase } = seen;
  if (phase === "misdefined") return [`${disk}: make the persistent definition name the file that the guest runs on`];
  if (phase === "suspended") return [`${disk}: let the guest go on, which a switch has suspended`];
  if (!isBegun(phase)) return [];
  if (before === destination) return [`${disk}: go on with the move to ${destination} that was begun (it is ${phase})`];
  return [`${disk}: first end the move to ${before} (it is ${phase}): ${endOf(phase)}`];
}

function endOf(phase: PhaseName): string {
  const finished: readonly PhaseName[] = ["pivoted", "collapsing", "collapse-ready", "switched"];
  if (finished.includes(phase)) return "it has switched, so it is finished";
  return phase === "pending" || phase === "switch-cut"
    ? "finished if `current` names the destination, else undone"
    : "undone to the source's exact chain";
}

function movedDisk({ options }: PlannedMove, { disk, seen }: PlannedDisk): string {
  if (!seen) return `${disk}: all its layers`;
  const { chain } = seen;
  const moving = countMoving(chain, options.keepBase);
  const bytes = chain.slice(0, moving).reduce((sum, { allocatedBytes }) => sum + allocatedBytes, 0);
  const stays = moving < chain.length ? ` (${chain[moving]?.path} stays)` : "";
  return `${disk}: ${layers(moving)}, ${bytesText(bytes)}, from ${chain[0]?.path}${stays}`;
}

function stepsOf({ options, by }: PlannedMove, disks: readonly PlannedDisk[]): string {
  const { strategy, collapse = "commit", keepBase, verify, afterwards } = options;
  const hasLower = disks.some(({ seen }) => !seen || countMoving(seen.chain, keepBase) > 1);
  const compared = verify === "full" ? ["compare the copies with their sources"] : [];
  const switched = by === "libvirt" ? "switch while the guest is suspended" : "switch";
  const tidied = afterwards === "quarantine" ? "tidy" : `tidy, ${afterwards} the old active image`;
  if (strategy === "snapshot") {
    const collapsed = {
      commit: ["commit the overlay down"],
      pull: ["pull the copy up into the overlay"],
      none: ["keep the overlay on top"],
    };
    const steps = [
      "freeze all under overlays at once",
      "copy all layers",
      ...compared,
      "mirror the overlay",
      switched,
      ...collapsed[collapse],
    ];
    return [...steps, tidied].join(", ");
  }
  const copied = hasLower ? ["copy the lower layers that are not there yet", ...compared] : [];
  return [...copied, "mirror the active one", switched, tidied].join(", ");
}

/** From the active layer down, as long as they lie in its directory and above `keepBase`. */
function countMoving(chain: readonly LayerReport[], keepBase: string | undefined): number {
  const [active] = chain;
  if (active === undefined) return 0;
  const home = directoryOf(active.path);
  const stays = chain.findIndex(({ path }) => path === keepBase || (path.startsWith("/") && directoryOf(path) !== home));
  return stays < 0 ? chain.length : stays;
}

function layers(count: number): string {
  return count === 1 ? "1 layer" : `${count} layers`;
}
