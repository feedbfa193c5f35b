/** What a preview says of a move in one line: what `up` will do, from what the last look has shown. Pure; true also where the move was begun. */

import { bytesText } from "../../core/bytes.js";
import { baseName, directoryOf, within } from "../../core/disk/paths.js";
import type { LayerReport } from "../shared/chain-report.js";
import type { MoveOptions } from "../shared/options.js";
import { type DiskStatus, isUnfinished } from "../shared/status.js";

/** As a state says that it was last seen. */
export interface LastSeen {
  status: DiskStatus;
  /** Where the state has one: of some it is known more exactly what `up` will do. */
  phase?: string;
  chain: readonly LayerReport[];
}

export interface PlannedDisk {
  disk: string;
  /** Undefined for a disk that nobody has looked at yet. */
  seen: LastSeen | undefined;
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
export function endingLine(disk: string, seen: Omit<LastSeen, "chain">): string | undefined {
  return isBegun(seen) ? `plan: ${disk}: end the move that was begun: ${endOf(seen.status)}` : undefined;
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
  if (before === destination) return seen.status === "elsewhere" && seen.phase !== "snapshotted";
  const [active] = seen.chain;
  return isBegun(seen) || active === undefined || directoryOf(active.path) !== destination;
}

/** Whether a move is under way, as opposed to a definition that is behind its guest, or a guest that is to be let go on. */
function isBegun({ status, phase }: Omit<LastSeen, "chain">): boolean {
  return isUnfinished(status) && phase !== "misdefined" && phase !== "suspended";
}

function continued({ before, destination }: PlannedMove, { disk, seen }: PlannedDisk): string[] {
  if (!seen) return []; // nobody has looked at it yet
  const { phase, status } = seen;
  if (phase === "misdefined") return [`${disk}: make the persistent definition name the file that the guest runs on`];
  if (phase === "suspended") return [`${disk}: let the guest go on, which a switch has suspended`];
  if (phase === "snapshotted") return [`${disk}: it is in a mirrored snapshot, which must end before the disk can move`];
  if (!isBegun(seen)) return [];
  if (before === destination) return [`${disk}: ${goingOn(status, destination)}`];
  return [`${disk}: first end the move${before === undefined ? "" : ` to ${before}`} that was begun: ${endOf(status)}`];
}

function goingOn(status: DiskStatus, destination: string): string {
  const move = `the move to ${destination} that was begun`;
  switch (status) {
    case "switching":
      return `end the switch of ${move}, on the side that \`current\` names, then go on`;
    case "cleaning-up":
      return `finish ${move}: it has switched`;
    case "undoing":
      return `a move of it was being undone: end that, and leave it in ${destination}`;
    case "needs-attention":
      return `go on with ${move}, if what stopped it is no longer there`;
    default:
      return `go on with ${move}`;
  }
}

function endOf(status: DiskStatus): string {
  switch (status) {
    case "cleaning-up":
      return "it has switched, so it is finished";
    case "switching":
      return "finished if `current` names the destination, else undone";
    case "needs-attention":
      return "undone to the source's exact chain if it has not switched, else finished";
    default:
      return "undone to the source's exact chain";
  }
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
