/** Waiting for the lock of a layer that another move is copying. */

import { KeyedMutex } from "../../core/async/keyed-mutex.js";
import { UserError } from "../../core/errors.js";
import { seeFile } from "../../host/file-seen.js";
import type { Host } from "../../host/host.js";
import { fileHolders } from "../../host/worker/holders.js";
import { Layer, type LayerOptions } from "./layer.js";
import { ifRefused } from "./layer-failures.js";
import { partialOf, readSidecar, sidecarOf } from "./layer-files.js";

export interface LockWait {
  /** So long without the other copy growing is an error. */
  stallSeconds: number;
  stop: AbortSignal;
  /** Told where the other copy stands. */
  waiting?: (text: string) => void;
}

const longestPauseSeconds = 0.5;

/** One mover of this process at a time asks for a layer, so that fifty disks on one base do not take fifty sessions. */
class LayerTurns extends KeyedMutex {}

/** Runs `work` when no other of this process works on the same layer of the same host. */
export function inTurn<Result>(
  host: Host,
  { destination, waiting }: { destination: string; waiting?: ((text: string) => void) | undefined },
  work: () => Promise<Result>,
): Promise<Result> {
  const key = `${host.name}\0${destination}`;
  const turns = host.world.one(LayerTurns);
  if (turns.isTaken(key)) waiting?.(`waiting for another disk's copy of ${destination}`);
  return turns.run(key, work);
}

/**
 * Opens a layer once nobody else has its lock.
 * @throws UserError when the other copy does not grow for `stallSeconds`, or when stopped
 */
export async function lockWhenFree(
  host: Host,
  options: LayerOptions,
  missing: "make" | "expect",
  patience: LockWait,
): Promise<Layer | "absent"> {
  const unable = `Unable to work on ${options.destination} on ${host.name}`;
  const { world } = host;
  let grew = { at: world.clock(), mark: "" };
  for (let pauseSeconds = 0.02; ; pauseSeconds = Math.min(pauseSeconds * 2, longestPauseSeconds)) {
    if (patience.stop.aborted) throw new UserError(`${unable}: it was stopped. Run \`pulumi up\` again to go on.`);
    const layer = await Layer.lock(host, options, missing);
    if (layer !== "busy") return layer;
    const growth = await growthOf(host, options.destination);
    if (growth.mark !== grew.mark) grew = { at: world.clock(), mark: growth.mark };
    patience.waiting?.(`waiting for the copy of ${options.destination} by another move, ${growth.percent} % done`);
    if (world.clock() - grew.at > patience.stallSeconds) {
      const holder = await holderOf(host, options.destination);
      const why = `${holder} has its lock, and the copy has not grown for ${patience.stallSeconds} s`;
      throw new UserError(`${unable}: ${why}. End that process, then run \`pulumi up\` again.`);
    }
    await world.sleep(pauseSeconds, patience.stop);
  }
}

/** How far the copy of who has the lock is. A sidecar that goes meanwhile, or cannot be read, is the next try's matter. */
async function growthOf(host: Host, destination: string): Promise<{ mark: string; percent: number }> {
  const worker = await host.worker();
  const record = await readSidecar(worker, { path: sidecarOf(destination) }).catch(ifRefused);
  if (typeof record !== "object" || record.copy.phase === "finished") return { mark: "", percent: 0 };
  const { doneBytes, suffix } = record.copy;
  const partial = await seeFile(worker, { path: partialOf(destination, suffix) }).catch(ifRefused);
  const { sizeBytes } = record.origin.source;
  const percent = sizeBytes > 0 ? Math.floor((100 * doneBytes) / sizeBytes) : 0;
  return { mark: `${doneBytes} ${partial?.allocatedBytes}`, percent };
}

async function holderOf(host: Host, destination: string): Promise<string> {
  const worker = await host.worker();
  const found = await fileHolders(worker, [{ path: sidecarOf(destination) }]).catch(ifRefused);
  const pids = [...new Set(found?.files[0]?.open.map(({ pid }) => pid))];
  // it does not name itself: a change that hangs has the lock past its deadline
  if (pids.length === 0 && found?.hidden === 0) pids.push(worker.hello.pid);
  return pids.length === 0 ? "a process that cannot be seen" : `process ${pids.join(", ")}`;
}
