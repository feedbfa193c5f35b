/** Brings a layer's bytes into the partial: by reflink where that works, else piece by piece. */

import { UserError } from "../errors.js";
import { type Copying, type PartialRecord, unable } from "./copying.js";
import { type Extent, GAP_BYTES, mergeExtents, positionAfter, remainingAfter, stepsOf, totalBytes } from "./extents.js";
import { CommandFailed } from "./layer-shell.js";
import { Ledger } from "./ledger.js";
import { Pace } from "./pace.js";

/**
 * Goes on from what the record says is done, and records what it has done, also when it fails.
 * @returns the record of a partial that holds all bytes
 */
export async function copyBytes(copying: Copying, record: PartialRecord): Promise<PartialRecord> {
  const { shell, options } = copying;
  const sizeBytes = options.sourceIdentity.sizeBytes;
  const whole = { ...record, copy: { ...record.copy, doneBytes: sizeBytes } };
  const extents = mergeExtents(await shell.mapSource(GAP_BYTES), sizeBytes);
  const total = totalBytes(extents);
  if (record.copy.doneBytes === 0 && total > 0 && (await cloned(copying))) {
    options.progress(total, total);
    return whole;
  }
  await copyPieces(copying, record, { total, remaining: remainingAfter(extents, record.copy.doneBytes) });
  return whole;
}

/** A rate limit is about the storage's load, and a reflink makes none. */
async function cloned({ shell }: Copying): Promise<boolean> {
  try {
    await shell.clone();
    return true;
  } catch (thrown) {
    if (thrown instanceof CommandFailed) return false;
    throw thrown;
  }
}

async function copyPieces(copying: Copying, record: PartialRecord, work: { total: number; remaining: readonly Extent[] }): Promise<void> {
  const { shell, options } = copying;
  const ledger = new Ledger(copying, record);
  const pace = new Pace(options.maxBytesPerSecond);
  let done = work.total - totalBytes(work.remaining);
  options.progress(done, work.total);
  if (work.remaining.length > 0) await shell.probeDirect();
  for (const pieces of stepsOf(work.remaining, () => pace.stepBytes())) {
    if (options.stop.aborted) throw await stopped(copying, ledger, { done, total: work.total });
    try {
      await shell.copy(pieces);
      await ledger.add(positionAfter(pieces), totalBytes(pieces));
    } catch (thrown) {
      throw thrown instanceof CommandFailed ? await cutShort(copying, ledger, { failure: thrown, bytesLeft: work.total - done }) : thrown;
    }
    done += totalBytes(pieces);
    options.progress(done, work.total);
    await pace.spend(totalBytes(pieces), options.stop);
  }
  await ledger.flush();
}

async function stopped({ host, options }: Copying, ledger: Ledger, { done, total }: { done: number; total: number }): Promise<UserError> {
  await ledger.flush();
  return new UserError(
    `${unable(host, options)}: it was stopped after ${gib(done)} of ${gib(total)}. Run \`pulumi up\` again to go on from there.`,
  );
}

/** Whether room is what is missing is told from the free space, not from the words. */
async function cutShort(
  { host, shell, options }: Copying,
  ledger: Ledger,
  { failure, bytesLeft }: { failure: CommandFailed; bytesLeft: number },
): Promise<UserError> {
  // the record needs room too, and what the failed step has taken is free for the next run
  await shell.cutOff(ledger.position, options.sourceIdentity.sizeBytes).catch(ignoreFailedCommand);
  await ledger.flush().catch(ignoreFailedCommand);
  const { freeBytes } = await shell.look();
  const short = bytesLeft - freeBytes;
  const room = short > 0 ? ` ${gib(bytesLeft)} are still to be copied and ${gib(freeBytes)} are free: free at least ${gib(short)}.` : "";
  const advice = "What is copied stays; run `pulumi up` again to go on from there";
  return new UserError(`${unable(host, options)}: ${failure.words}.${room} ${advice}.`, { cause: failure });
}

function ignoreFailedCommand(thrown: unknown): void {
  // without it the next run only copies a little more again
  if (!(thrown instanceof CommandFailed)) throw thrown;
}

function gib(bytes: number): string {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
