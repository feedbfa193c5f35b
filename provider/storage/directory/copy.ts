/** Copies one layer that nobody writes to, on its host, so that it may be cut anywhere and goes on from there. */

import { createHash } from "node:crypto";
import { isUnchanged } from "../../core/disk/chain.js";
import { BugError, impossible, UserError } from "../../core/errors.js";
import type { Host } from "../../host/host.js";
import { backingNameInHeader } from "../../image/qemu-img.js";
import { copyBytes } from "./copy-bytes.js";
import { type CopyStart, copyStart } from "./copy-plan.js";
import { type Copying, type CopyOptions, newPartial, type PartialRecord, unable } from "./copying.js";
import type { FileSeen } from "./file-seen.js";
import { CommandFailed } from "./layer-conversation.js";
import { inTurn, lockWhenFree } from "./layer-lock.js";
import { fate, type LayerRecord, type Origin, withMover, withoutMover } from "./layer-record.js";
import type { LayerSeen, LayerShell } from "./layer-shell.js";

export type { CopyOptions } from "./copying.js";

/** A regular file lies at the destination that no move stands on: perhaps a copy whose last user's move has just ended. */
export class LeftBehind extends UserError {}

/**
 * Copies a layer, or joins the copy that another disk's move has made of the same one. Afterwards `user` stands on it (see sidecar.ts).
 * Nothing that is at the destination already is replaced or followed.
 * @returns `joined` when the copy was there
 * @throws LeftBehind if the destination is taken by a regular file that no move stands on
 * @throws UserError if the destination is taken by a file that is not such a copy, if the source changed, if there is no room, or when stopped
 */
export function copyLayer(host: Host, options: CopyOptions): Promise<"copied" | "joined"> {
  return inTurn(host, options, async () => {
    const { destination, source, rewriteBacking, stallSeconds } = options;
    const backing =
      rewriteBacking === undefined ? {} : { rewriteBacking: { ...rewriteBacking, name: backingNameInHeader(rewriteBacking.name) } };
    const shell = await lockWhenFree(host, { destination, source, stallSeconds, ...backing }, "make", options);
    if (shell === "absent") throw new BugError(`A sidecar of ${destination} that was to be made is absent.`);
    try {
      const outcome = await copyUnderLock({ host, shell, options });
      await shell.close();
      return outcome;
    } catch (thrown) {
      shell.abandon();
      throw thrown instanceof CommandFailed ? new UserError(`${unable(host, options)}: ${thrown.words}.`, { cause: thrown }) : thrown;
    }
  });
}

async function copyUnderLock(copying: Copying): Promise<"copied" | "joined"> {
  const { shell, options } = copying;
  const seen = await shell.look();
  const origin = originOf(options);
  if (!isSource(seen, options)) return refuse(copying, seen, { why: `${options.source} has changed since it was looked at` });
  const begin = copyStart(seen, origin, options.user);
  switch (begin.start) {
    case "refuse":
      return refuse(copying, seen, begin);
    case "join":
      await shell.write(withMover(begin.record, options.user));
      return "joined";
    case "record":
      if (begin.record.copy.phase === "partial") await discardPartial(shell, begin.record.copy);
      await recordFinished(copying, withMover(begin.record, options.user), seen.layer);
      return "copied";
    case "continue":
      return continueCopy(copying, begin.record, begin.partial);
    case "anew":
      if (begin.discard !== undefined) await discardPartial(shell, begin.discard);
      return startCopy(copying, withMover({ ...begin.standing, origin, copy: newPartial() }, options.user));
    default:
      return impossible(begin);
  }
}

type Refused = Omit<Extract<CopyStart, { start: "refuse" }>, "start">;

async function refuse({ host, shell, options }: Copying, seen: LayerSeen, { why, what }: Refused): Promise<never> {
  // the lock has to be a file, but one that nobody needs does not stay
  if (seen.record === "empty") await shell.forget();
  const Refusal = what === "left-behind" ? LeftBehind : UserError;
  throw new Refusal(`${unable(host, options)}: ${why}. Then run \`pulumi up\` again.`);
}

function originOf({ sourceIdentity, rewriteBacking }: CopyOptions): Origin {
  if (rewriteBacking === undefined) return { source: sourceIdentity, backing: "as-in-source" };
  const text = `${rewriteBacking.format}\0${backingNameInHeader(rewriteBacking.name)}`;
  return { source: sourceIdentity, backing: createHash("sha256").update(text).digest("hex").slice(0, 16) };
}

function isSource({ source }: LayerSeen, { sourceIdentity }: CopyOptions): boolean {
  if (source === undefined || source.kind !== "file") return false;
  // some stat prints whole seconds only
  const modified = sourceIdentity.modified.includes(".") ? source.modified : source.modified.replace(/\..*/, "");
  return isUnchanged({ ...source, modified }, sourceIdentity);
}

/** Removes a partial that is recorded as ours; one that was recorded but not yet known by its inode holds nothing. */
async function discardPartial(shell: LayerShell, partial: { suffix: string; ino?: string }): Promise<void> {
  const there = await shell.usePartial(partial.suffix);
  if (there === undefined || there.kind !== "file") return;
  if (there.ino === partial.ino || (partial.ino === undefined && there.allocatedBytes === 0)) await shell.discardPartial(there.ino);
}

async function continueCopy(copying: Copying, record: LayerRecord, partial: PartialRecord["copy"]): Promise<"copied"> {
  const { shell, options } = copying;
  const there = await shell.usePartial(partial.suffix);
  const joined = withMover(record, options.user);
  if (there === undefined || there.kind !== "file" || there.ino !== partial.ino)
    return startCopy(copying, { ...joined, copy: newPartial() });
  const continued = { ...joined, copy: partial };
  if (!record.moving.includes(options.user)) await shell.write(continued);
  return finishCopy(copying, continued);
}

/** The name is recorded before the file is made, its inode before the first byte is in it. */
async function startCopy(copying: Copying, record: PartialRecord): Promise<"copied"> {
  const { shell, options } = copying;
  await shell.write(record);
  const there = await shell.usePartial(record.copy.suffix);
  if (there !== undefined)
    throw new UserError(`${unable(copying.host, options)}: the name of its partial is taken. Run \`pulumi up\` again.`);
  const made = await shell.createPartial(options.sourceIdentity.sizeBytes);
  if (made === undefined) throw new BugError(`The partial of ${options.destination} vanished while it was made.`);
  const begun = { ...record, copy: { ...record.copy, ino: made.ino } };
  await shell.write(begun);
  return finishCopy(copying, begun);
}

async function finishCopy(copying: Copying, record: PartialRecord): Promise<"copied"> {
  const { shell, options } = copying;
  const copied = await copyBytes(copying, record);
  const seen = await shell.look();
  if (!isSource(seen, options)) return discardCopy(copying, copied);
  const there = await shell.usePartial(record.copy.suffix);
  if (there?.ino !== record.copy.ino) {
    throw new UserError(
      `${unable(copying.host, options)}: its partial was taken away or replaced while it was copied. Run \`pulumi up\` again.`,
    );
  }
  await shell.dress(options.sourceIdentity.sizeBytes);
  await recordFinished(copying, copied, await shell.place());
  return "copied";
}

async function discardCopy({ host, shell, options }: Copying, record: PartialRecord): Promise<never> {
  await discardPartial(shell, record.copy);
  const left = withoutMover(record, options.user);
  if (fate(left) === "all goes") await shell.forget();
  else await shell.write({ ...left, copy: newPartial() });
  const advice = "Find out what writes to it, then run `pulumi up` again";
  throw new UserError(`${unable(host, options)}: ${options.source} changed while it was copied, so the copy was removed. ${advice}.`);
}

async function recordFinished({ shell, options }: Copying, record: LayerRecord, layer: FileSeen | undefined): Promise<void> {
  if (layer === undefined)
    throw new UserError(`Unable to find the finished copy ${options.destination}: somebody removed it. Run \`pulumi up\` again.`);
  await shell.write({ ...record, copy: { phase: "finished", ino: layer.ino, sizeBytes: layer.sizeBytes, modified: layer.modified } });
}
