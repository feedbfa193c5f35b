/** Who stands on a copied layer: disks leave it when their move is undone, and keep it when it has ended. */

import type { FileIdentity } from "../../core/disk/chain.js";
import type { DiskKey } from "../../core/disk/names.js";
import { UserError } from "../../core/errors.js";
import { seeFile } from "../../host/file-seen.js";
import type { Host } from "../../host/host.js";
import { discardPartial } from "./copy.js";
import type { Layer, LayerSeen } from "./layer.js";
import { complaintOf, isRefusal, wordsOf } from "./layer-failures.js";
import { readSidecar, sidecarOf } from "./layer-files.js";
import { inTurn, lockWhenFree } from "./layer-lock.js";
import { compareToRecord, fate, type LayerRecord, withKept, withoutMover } from "./layer-record.js";

/** What a layer's place holds, as one disk sees it. */
export type LayerState =
  | { state: "absent" }
  /** A copy under way, or cut: all before `doneBytes` of the source's `totalBytes` is safely on the storage. */
  | ({ state: "partial"; doneBytes: number; totalBytes: number } & Users)
  /** A finished copy on which this disk stands. */
  | ({ state: "ours"; layer: FileIdentity } & Users)
  /** A finished copy on which only other disks stand: copyLayer joins it without copying. */
  | ({ state: "kept"; layer: FileIdentity } & Users)
  /** `sidecar`: there is one that we may not trust. Other moves may stand on the layer, so that nothing is known of how long it stays. */
  | { state: "foreign"; why: string; what: "file" | "sidecar" };

interface Users {
  /** What it is a copy of. */
  source: FileIdentity;
  /** Disks whose move is under way. */
  moving: readonly DiskKey[];
  /** Disks whose move has ended on this layer. */
  kept: readonly DiskKey[];
}

const patienceSeconds = 60;

export interface Leaving {
  stop: AbortSignal;
  /**
   * How long the lock may be held by somebody whose copy does not grow.
   * @default 60
   */
  stallSeconds?: number;
  /** Told where another move's copy stands while this waits for it. */
  waiting?: (text: string) => void;
  /** Told of a file that stays, since it is not proved to be the copy that is recorded. */
  kept?: (text: string) => void;
}

const unstoppable = (): Leaving => ({ stop: new AbortController().signal });

/**
 * Takes an undone disk off a layer. With the last one the layer, its partial and its sidecar go, if they are the files recorded as ours.
 * Call it when nothing has the layer open for this disk any more.
 * @returns `kept`: others stand on it · `not-ours`: nothing of ours is there that is proved to be, or `user` does not stand on it
 */
export function leaveLayer(
  host: Host,
  destination: string,
  user: DiskKey,
  leaving = unstoppable(),
): Promise<"removed" | "kept" | "not-ours"> {
  return underLock(host, { destination, leaving, otherwise: "not-ours" }, async (held, seen) => {
    const { record } = seen;
    if (record === "empty") await held.forget();
    if (record === "empty" || record === "foreign" || !record.moving.includes(user)) return "not-ours";
    const left = withoutMover(record, user);
    switch (fate(left)) {
      case "all stays":
        await held.write(left);
        return "kept";
      case "layer stays":
        await held.forget();
        return "kept";
      case "all goes":
        return removeAll(held, left, (how) => leaving.kept?.(`${destination} is not ${how}the copy that was made there`));
    }
  });
}

async function removeAll(held: Layer, { copy }: LayerRecord, kept: (how: "" | "proved to be ") => void): Promise<"removed" | "not-ours"> {
  if (copy.phase === "partial") await discardPartial(held, copy);
  const was = await held.removeLayer(copy);
  await held.forget();
  if (was === "same" || was === "absent") return "removed";
  kept(was === "unknown" ? "proved to be " : "");
  return "not-ours";
}

/**
 * Says that a disk's move has ended on this layer, so that no undo of another disk removes it.
 * The sidecar goes with the last move that stands on it; the layer stays. Doing it twice is fine.
 */
export function keepLayer(host: Host, destination: string, user: DiskKey, leaving = unstoppable()): Promise<void> {
  return underLock(host, { destination, leaving, otherwise: undefined }, async (held, { record }) => {
    if (record === "foreign") return undefined;
    if (record !== "empty" && !record.moving.includes(user) && !record.kept.includes(user)) return undefined;
    const ended = record === "empty" ? "empty" : withKept(record, user);
    if (ended === "empty" || ended.moving.length === 0) await held.forget();
    else await held.write(ended);
    return undefined;
  });
}

async function underLock<Outcome>(
  host: Host,
  { destination, leaving, otherwise }: { destination: string; leaving: Leaving; otherwise: Outcome },
  change: (held: Layer, seen: LayerSeen) => Promise<Outcome>,
): Promise<Outcome> {
  return inTurn(host, { destination, waiting: leaving.waiting }, async () => {
    const patience = { stallSeconds: patienceSeconds, ...leaving };
    const held = await lockWhenFree(host, { destination, stallSeconds: patience.stallSeconds }, "expect", patience);
    if (held === "absent") return otherwise;
    try {
      return await change(held, await held.look());
    } catch (thrown) {
      throw complaintOf(thrown, (words) => `Unable to work on ${destination} on ${host.name}: ${words}. Run \`pulumi up\` again.`);
    } finally {
      await held.close();
    }
  });
}

/** Any number of layers, all asked for at once; the answers are in the order of `destinations`. */
export async function layerStates(host: Host, destinations: readonly string[], user: DiskKey): Promise<LayerState[]> {
  if (destinations.length === 0) return [];
  const worker = await host.worker();
  const look = async (destination: string) => {
    const [record, layer] = await Promise.all([
      readSidecar(worker, { path: sidecarOf(destination) }),
      seeFile(worker, { path: destination }),
    ]);
    return stateOf({ record, layer }, user);
  };
  try {
    return await Promise.all(destinations.map(look));
  } catch (thrown) {
    if (!isRefusal(thrown)) throw thrown;
    const what = `Unable to look at a layer on ${host.name} (${wordsOf(thrown)})`;
    throw new UserError(`${what}. Nothing was touched. Repair its storage, then run again.`, { cause: thrown });
  }
}

const untrusted = "its sidecar (.lm-layer) was not written by this program, belongs to another account, or may be written by others";

function stateOf({ record, layer }: Omit<LayerSeen, "source">, user: DiskKey): LayerState {
  if (record === "foreign") return { state: "foreign", what: "sidecar", why: untrusted };
  if (record === "empty")
    return layer === undefined ? { state: "absent" } : { state: "foreign", what: "file", why: "the file there is not ours" };
  const { origin, copy, moving, kept } = record;
  if (layer !== undefined && compareToRecord(layer, copy) === "different")
    return { state: "foreign", what: "sidecar", why: "the file there is not the one that was copied" };
  const { identity: _, ...source } = origin.source;
  const standing = { source, moving, kept };
  if (copy.phase === "partial") return { state: "partial", doneBytes: copy.doneBytes, totalBytes: origin.source.sizeBytes, ...standing };
  if (layer === undefined) return { state: "absent" };
  return { state: [...moving, ...kept].includes(user) ? "ours" : "kept", layer, ...standing };
}
