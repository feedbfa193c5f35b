/** Who stands on a copied layer: disks leave it when their move is undone, and keep it when it has ended. */

import type { FileIdentity } from "../../core/disk/chain.js";
import type { DiskKey } from "../../core/disk/names.js";
import { UserError } from "../../core/errors.js";
import type { Host } from "../../host/host.js";
import { identityPart, parseFile } from "./file-seen.js";
import { CommandFailed } from "./layer-conversation.js";
import { inTurn, lockWhenFree } from "./layer-lock.js";
import { fate, type LayerRecord, parseRecord, withKept, withoutMover } from "./layer-record.js";
import type { LayerSeen, LayerShell } from "./layer-shell.js";

/** What a layer's place holds, as one disk sees it. */
export type LayerState =
  | { state: "absent" }
  /** A copy under way, or cut: all before `doneBytes` of the source's `totalBytes` is safely on the storage. */
  | ({ state: "partial"; doneBytes: number; totalBytes: number } & Standing)
  /** A finished copy on which this disk stands. */
  | ({ state: "ours"; layer: FileIdentity } & Standing)
  /** A finished copy on which only other disks stand: copyLayer joins it without copying. */
  | ({ state: "kept"; layer: FileIdentity } & Standing)
  | { state: "foreign"; why: string };

interface Standing {
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
}

const unstoppable: Leaving = { stop: new AbortController().signal };

/**
 * Takes an undone disk off a layer. With the last one the layer, its partial and its sidecar go, if they are the files recorded as ours.
 * Call it when nothing has the layer open for this disk any more.
 * @returns `kept`: others stand on it · `not-ours`: nothing of ours is there, or `user` does not stand on it
 */
export function leaveLayer(
  host: Host,
  destination: string,
  user: DiskKey,
  leaving = unstoppable,
): Promise<"removed" | "kept" | "not-ours"> {
  return underLock(host, { destination, leaving, otherwise: "not-ours" }, async (shell, seen) => {
    const { record } = seen;
    if (record === "empty") await shell.forget();
    if (record === "empty" || record === "foreign" || !record.moving.includes(user)) return "not-ours";
    const left = withoutMover(record, user);
    switch (fate(left)) {
      case "all stays":
        await shell.write(left);
        return "kept";
      case "layer stays":
        await shell.forget();
        return "kept";
      case "all goes":
        return removeAll(shell, seen, left);
    }
  });
}

async function removeAll(shell: LayerShell, { layer }: LayerSeen, { copy }: LayerRecord): Promise<"removed" | "not-ours"> {
  if (copy.phase === "partial") {
    const partial = await shell.usePartial(copy.suffix);
    // recorded but not yet known by its inode, it is empty
    const ours = partial !== undefined && (partial.ino === copy.ino || (copy.ino === undefined && partial.allocatedBytes === 0));
    if (ours && partial.kind === "file") await shell.discardPartial(partial.ino);
  }
  const replaced = layer !== undefined && layer.ino !== copy.ino;
  if (copy.ino !== undefined) await shell.removeLayer(copy.ino);
  await shell.forget();
  return replaced ? "not-ours" : "removed";
}

/**
 * Says that a disk's move has ended on this layer, so that no undo of another disk removes it.
 * The sidecar goes with the last move that stands on it; the layer stays. Doing it twice is fine.
 */
export function keepLayer(host: Host, destination: string, user: DiskKey, leaving = unstoppable): Promise<void> {
  return underLock(host, { destination, leaving, otherwise: undefined }, async (shell, { record }) => {
    if (record === "foreign") return undefined;
    if (record !== "empty" && !record.moving.includes(user) && !record.kept.includes(user)) return undefined;
    const ended = record === "empty" ? "empty" : withKept(record, user);
    if (ended === "empty" || ended.moving.length === 0) await shell.forget();
    else await shell.write(ended);
    return undefined;
  });
}

async function underLock<Outcome>(
  host: Host,
  { destination, leaving, otherwise }: { destination: string; leaving: Leaving; otherwise: Outcome },
  change: (shell: LayerShell, seen: LayerSeen) => Promise<Outcome>,
): Promise<Outcome> {
  return inTurn(host, { destination, waiting: leaving.waiting }, async () => {
    const patience = { stallSeconds: patienceSeconds, ...leaving };
    const shell = await lockWhenFree(host, { destination, stallSeconds: patience.stallSeconds }, "expect", patience);
    if (shell === "absent") return otherwise;
    try {
      const outcome = await change(shell, await shell.look());
      await shell.close();
      return outcome;
    } catch (thrown) {
      shell.abandon();
      if (!(thrown instanceof CommandFailed)) throw thrown;
      throw new UserError(`Unable to work on ${destination} on ${host.name}: ${thrown.words}. Run \`pulumi up\` again.`, { cause: thrown });
    }
  });
}

/**
 * @host stat, tr, head, awk
 * @for reading
 * @does looks at copied layers and reads their sidecars
 * @changes nothing
 * @as the account
 * @why what is a finished copy, what a cut one, what somebody else's
 */
const lookScript = `
export LC_ALL=C
${identityPart}
for layer; do
  printf 'layer %s\\n' "$(identity -- "$layer")"
  record=$layer.lm-layer
  if [ -L "$record" ] || { [ -e "$record" ] && [ ! -f "$record" ]; }; then printf '| (not a regular file)\\n'
  elif [ -f "$record" ]; then head -c 65536 -- "$record" | awk '{ print "| " $0 }'
  fi
done`;

/** One round trip for any number of layers; the answers are in the order of `destinations`. */
export async function layerStates(host: Host, destinations: readonly string[], user: DiskKey): Promise<LayerState[]> {
  if (destinations.length === 0) return [];
  const { stdout } = await host.run(lookScript, destinations);
  const answers = stdout.split(/^(?=layer )/m).filter((text) => text !== "");
  if (answers.length !== destinations.length)
    throw new UserError(`Unable to look at ${destinations.join(", ")} on ${host.name}: its answer is cut off. Run \`pulumi up\` again.`);
  return answers.map((text) => stateOf(text.trimEnd().split("\n"), user));
}

function stateOf([first = "", ...lines]: readonly string[], user: DiskKey): LayerState {
  const layer = parseFile(first.replace(/^layer /, ""));
  const record = parseRecord(lines.filter((line) => line.startsWith("| ")).map((line) => line.slice(2)));
  if (record === "foreign") return { state: "foreign", why: "its sidecar (.lm-layer) was not written by this program" };
  if (record === "empty") return layer === undefined ? { state: "absent" } : { state: "foreign", why: "the file there is not ours" };
  const { origin, copy, moving, kept } = record;
  if (layer !== undefined && layer.ino !== copy.ino) return { state: "foreign", why: "the file there is not the one that was copied" };
  const standing = { source: origin.source, moving, kept };
  if (copy.phase === "partial") return { state: "partial", doneBytes: copy.doneBytes, totalBytes: origin.source.sizeBytes, ...standing };
  if (layer === undefined) return { state: "absent" };
  return { state: [...moving, ...kept].includes(user) ? "ours" : "kept", layer, ...standing };
}
