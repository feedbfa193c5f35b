/** Copies one layer that nobody writes to, on its host, so that it may be cut anywhere and goes on from there. */

import { createHash } from "node:crypto";
import { compareFiles, type FileIdentity, identityOf, isUnchanged } from "../../core/disk/chain.js";
import { BugError, impossible, UserError } from "../../core/errors.js";
import type { FileSeen } from "../../host/file-seen.js";
import type { Host } from "../../host/host.js";
import { isFailure } from "../../host/worker/worker-error.js";
import { backingNameInHeader } from "../../image/qemu-img.js";
import { copyBytes } from "./copy-bytes.js";
import { type CopyStart, copyStart } from "./copy-plan.js";
import { type Copying, type CopyOptions, newPartial, type PartialRecord, unable } from "./copying.js";
import type { Layer, LayerSeen } from "./layer.js";
import { adviceOn, complaintOf } from "./layer-failures.js";
import { inTurn, lockWhenFree } from "./layer-lock.js";
import { LayerPartial, PartialGone } from "./layer-partial.js";
import { compareToRecord, fate, type LayerRecord, type Origin, withMover, withoutMover } from "./layer-record.js";

export type { CopyOptions } from "./copying.js";

/** A regular file lies at the destination that no move stands on: perhaps a copy whose last user's move has just ended. */
export class LeftBehind extends UserError {}

/** A copy lies at the destination on which other moves stand, and it is not proved that it is one of the same file. */
export class Unproved extends UserError {}

/**
 * Copies a layer, or joins the copy that another disk's move has made of the same one. Afterwards `user` stands on it (see sidecar.ts).
 * Nothing that is at the destination already is replaced or followed.
 * @returns `joined` when the copy was there
 * @throws Unproved if a copy is there that may hold the same: compare it, then call again with `compared`
 * @throws LeftBehind if the destination is taken by a regular file that no move stands on
 * @throws UserError if the destination is taken by a file that is not such a copy, if the source changed, if there is no room, or when stopped
 */
export function copyLayer(host: Host, options: CopyOptions): Promise<"copied" | "joined"> {
  return inTurn(host, options, async () => {
    const layer = await lockWhenFree(host, options, "make", options);
    if (layer === "absent") throw new BugError(`A sidecar of ${options.destination} that was to be made is absent.`);
    try {
      return await copyUnderLock({ host, layer, options });
    } catch (thrown) {
      throw complaintOf(thrown, (words) => `${unable(host, options)}: ${words}. ${adviceOn(thrown)}`);
    } finally {
      await layer.close();
    }
  });
}

async function copyUnderLock(copying: Copying): Promise<"copied" | "joined"> {
  const { layer, options } = copying;
  const seen = await layer.look();
  const source = await layer.holdSource();
  if (!isSource(source, options))
    return refuse(copying, seen, { why: `${options.source} has changed since it was looked at; see who writes to it` });
  if (!isOpen(source, options))
    return refuse(copying, seen, { why: `${options.source} is not the file that the guest has open; put that one back` });
  const origin = originOf(source, options);
  const begin = copyStart(seen, origin, options.user);
  switch (begin.start) {
    case "refuse":
      if (begin.what === "unproved" && wasCompared(seen, options)) return joinCompared(copying, begin.record, seen.layer);
      return refuse(copying, seen, begin);
    case "join":
      await layer.write(withMover(begin.record, options.user));
      return "joined";
    case "record":
      return recordPlaced(copying, begin.record, seen.layer);
    case "continue":
      return continueCopy(copying, { ...begin.record, origin }, begin.partial);
    case "anew":
      if (begin.discard !== undefined) await discardPartial(layer, begin.discard);
      return startCopy(copying, withMover({ ...begin.standing, origin, copy: newPartial(copying.host) }, options.user));
    default:
      return impossible(begin);
  }
}

/** All bytes are there, under the layer's name. */
async function recordPlaced(copying: Copying, record: LayerRecord, placed: FileSeen | undefined): Promise<"copied"> {
  if (record.copy.phase === "partial") await discardPartial(copying.layer, record.copy);
  await recordFinished(copying, withMover(record, copying.options.user), placed);
  return "copied";
}

/** What was compared is still there as it was then. */
function wasCompared({ layer }: LayerSeen, { compared }: CopyOptions): boolean {
  return layer !== undefined && compared !== undefined && compareFiles(layer, compared) === "same" && isUnchanged(layer, compared);
}

async function joinCompared(copying: Copying, record: LayerRecord, there: FileSeen | undefined): Promise<"copied" | "joined"> {
  const { layer, options } = copying;
  if (record.copy.phase === "partial") return recordPlaced(copying, record, there);
  await layer.write(withMover(record, options.user));
  return "joined";
}

type Refused = Pick<Extract<CopyStart, { start: "refuse" }>, "why" | "what">;

const refusals = { "left-behind": LeftBehind, unproved: Unproved };

async function refuse({ host, layer, options }: Copying, seen: LayerSeen, { why, what }: Refused): Promise<never> {
  // the lock has to be a file, but one that nobody needs does not stay
  if (seen.record === "empty") await layer.forget();
  const Refusal = what === undefined ? UserError : refusals[what];
  throw new Refusal(`${unable(host, options)}: ${why}. Then run \`pulumi up\` again.`);
}

function originOf(held: FileSeen, { rewriteBacking }: CopyOptions): Origin {
  const source = identityOf(held);
  if (rewriteBacking === undefined) return { source, backing: "as-in-source" };
  const text = `${rewriteBacking.format}\0${backingNameInHeader(rewriteBacking.name)}`;
  return { source, backing: createHash("sha256").update(text).digest("hex").slice(0, 16) };
}

function isSource(source: FileSeen | undefined, { sourceIdentity }: CopyOptions): source is FileSeen {
  return source !== undefined && source.kind === "file" && isUnchanged(source, sourceIdentity);
}

function isOpen({ dev, ino }: FileIdentity, { openFiles }: CopyOptions): boolean {
  return openFiles === undefined || openFiles.has(`${dev}:${ino}`);
}

/** Removes a partial that is recorded as ours: nobody else gives its name. One whose inode was never recorded is removed only while it is empty. */
export async function discardPartial(layer: Layer, recorded: PartialRecord["copy"]): Promise<void> {
  const there = await layer.partial(recorded.suffix);
  if (!(there instanceof LayerPartial)) return;
  const isOurs = recorded.ino === undefined ? there.seen.allocatedBytes === 0 : compareToRecord(there.seen, recorded) !== "different";
  if (isOurs) await there.remove();
}

async function continueCopy(copying: Copying, record: LayerRecord, recorded: PartialRecord["copy"]): Promise<"copied"> {
  const { layer, options } = copying;
  const there = await layer.partial(recorded.suffix);
  const joined = withMover(record, options.user);
  if (!(there instanceof LayerPartial) || compareToRecord(there.seen, recorded) === "different")
    return startCopy(copying, { ...joined, copy: newPartial(copying.host) });
  if (recorded.doneBytes === 0 || there.seen.sizeBytes < recorded.doneBytes) {
    await there.remove();
    return startCopy(copying, { ...joined, copy: newPartial(copying.host) });
  }
  const continued = { ...joined, copy: recorded };
  if (!record.moving.includes(options.user)) await layer.write(continued);
  return finishCopy(copying, there, continued);
}

/** The name is recorded before the file is made, its inode before the first byte is in it. */
async function startCopy(copying: Copying, record: PartialRecord): Promise<"copied"> {
  const { layer } = copying;
  await layer.write(record);
  const made = await layer.createPartial(record.copy.suffix);
  const { ino, identity } = made.seen;
  const begun = { ...record, copy: { ...record.copy, ino, identity } };
  await layer.write(begun);
  return finishCopy(copying, made, begun);
}

async function finishCopy(copying: Copying, partial: LayerPartial, record: PartialRecord): Promise<"copied"> {
  const { layer, options, host } = copying;
  const { rewriteBacking } = options;
  try {
    const copied = await copyBytes(copying, partial, record).catch((thrown: unknown) => {
      if (isFailure(thrown, "changed")) return undefined;
      throw thrown;
    });
    if (copied === undefined || !isSource((await layer.look()).source, options)) return await discardCopy(copying, record);
    await partial.dress(rewriteBacking && { ...rewriteBacking, name: backingNameInHeader(rewriteBacking.name) });
    await recordFinished(copying, copied, await layer.place(partial));
    return "copied";
  } catch (thrown) {
    if (!(thrown instanceof PartialGone)) throw thrown;
    const what = "its partial was taken away or replaced while it was copied";
    throw new UserError(`${unable(host, options)}: ${what}. Run \`pulumi up\` again.`, { cause: thrown });
  }
}

async function discardCopy({ host, layer, options }: Copying, record: PartialRecord): Promise<never> {
  await discardPartial(layer, record.copy);
  const left = withoutMover(record, options.user);
  if (fate(left) === "all goes") await layer.forget();
  else await layer.write({ ...left, copy: newPartial(host) });
  const advice = "Find out what writes to it, then run `pulumi up` again";
  throw new UserError(`${unable(host, options)}: ${options.source} changed while it was copied, so the copy was removed. ${advice}.`);
}

async function recordFinished({ layer, options }: Copying, record: LayerRecord, placed: FileSeen | undefined): Promise<void> {
  if (placed === undefined)
    throw new UserError(`Unable to find the finished copy ${options.destination}: somebody removed it. Run \`pulumi up\` again.`);
  const { ino, identity, sizeBytes, modified } = placed;
  await layer.write({ ...record, copy: { phase: "finished", ino, identity, sizeBytes, modified } });
}
