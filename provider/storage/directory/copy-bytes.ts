/** Brings a layer's bytes into the partial: by reflink where that works, else piece by piece. */

import { bytesText } from "../../core/bytes.js";
import { UserError } from "../../core/errors.js";
import { type Copying, type PartialRecord, unable } from "./copying.js";
import { type Extent, joinedGapBytes, mergeExtents, positionAfter, remainingAfter, stepsOf, totalBytes } from "./extents.js";
import { CommandFailed } from "./layer-conversation.js";
import { Ledger } from "./ledger.js";
import { Pace } from "./pace.js";

/**
 * Goes on from what the record says is done, and records now and then what it has done, also when it fails. What was copied last is
 * not synced yet.
 * @returns the record of a partial that holds all bytes
 */
export async function copyBytes(copying: Copying, record: PartialRecord): Promise<PartialRecord> {
  const { shell, options } = copying;
  const sizeBytes = options.sourceIdentity.sizeBytes;
  const whole = { ...record, copy: { ...record.copy, doneBytes: sizeBytes } };
  const extents = mergeExtents(await shell.mapSource(joinedGapBytes), sizeBytes);
  const total = totalBytes(extents);
  if (record.copy.doneBytes === 0 && total > 0 && (await cloned(copying))) {
    options.progress(total, total);
    return whole;
  }
  await copyPieces(copying, record, { total, extents });
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

interface Work {
  total: number;
  /** All data of the source, also what an earlier run has copied. */
  extents: readonly Extent[];
}

async function copyPieces(copying: Copying, record: PartialRecord, work: Work): Promise<void> {
  const ledger = new Ledger(copying, record);
  try {
    await copyRemaining(copying, ledger, work);
  } catch (thrown) {
    throw thrown instanceof CommandFailed ? await cutShort(copying, ledger, { failure: thrown, extents: work.extents }) : thrown;
  }
}

async function copyRemaining(copying: Copying, ledger: Ledger, { total, extents }: Work): Promise<void> {
  const { shell, options } = copying;
  const pace = new Pace(options.maxBytesPerSecond);
  const remaining = remainingAfter(extents, ledger.position);
  let done = total - totalBytes(remaining);
  const ended = async ({ pieces, copied }: Asked) => {
    await copied;
    await ledger.add(positionAfter(pieces), totalBytes(pieces));
    done += totalBytes(pieces);
    options.progress(done, total);
    await pace.spend(totalBytes(pieces), options.stop);
  };
  options.progress(done, total);
  if (remaining.length > 0) await shell.probeDirect();
  let running: Asked | undefined;
  for (const step of stepsOf(remaining, () => pace.stepSize())) {
    if (options.stop.aborted) break;
    const next = { pieces: step.pieces, copied: shell.copy(step) };
    next.copied.catch(() => undefined); // told when its turn comes
    if (running) await ended(running);
    // without a limit the host has the next step before it is done with this one, and so never waits for us
    const isLimited = options.maxBytesPerSecond() > 0;
    if (isLimited) await ended(next);
    running = isLimited ? undefined : next;
  }
  if (running) await ended(running);
  if (done < total) throw await stopped(copying, ledger, { done, total });
}

/** What the host was told to copy. */
interface Asked {
  pieces: readonly Extent[];
  copied: Promise<void>;
}

async function stopped({ host, options }: Copying, ledger: Ledger, { done, total }: { done: number; total: number }): Promise<UserError> {
  await ledger.flush();
  return new UserError(
    `${unable(host, options)}: it was stopped after ${bytesText(done)} of ${bytesText(total)}. Run \`pulumi up\` again to go on from there.`,
  );
}

/** Whether room is what is missing is told from the free space, not from the words. */
async function cutShort(
  { host, shell, options }: Copying,
  ledger: Ledger,
  { failure, extents }: { failure: CommandFailed; extents: readonly Extent[] },
): Promise<UserError> {
  // the record needs room too, and what the failed step has taken is free for the next run
  await shell.cutOff(ledger.position, options.sourceIdentity.sizeBytes).catch(ignoreFailedCommand);
  await ledger.flush().catch(ignoreFailedCommand);
  const freeBytes = await shell.freeBytes().catch(ignoreFailedCommand); // then only what the step said is told
  const bytesLeft = totalBytes(remainingAfter(extents, ledger.position));
  const short = freeBytes === undefined ? 0 : bytesLeft - freeBytes;
  const room =
    freeBytes !== undefined && short > 0
      ? ` ${bytesText(bytesLeft)} are still to be copied and ${bytesText(freeBytes)} are free: free at least ${bytesText(short, "up")}.`
      : "";
  const advice = "What is copied stays; run `pulumi up` again to go on from there";
  return new UserError(`${unable(host, options)}: ${failure.words}.${room} ${advice}.`, { cause: failure });
}

function ignoreFailedCommand(thrown: unknown): undefined {
  // without it the next run only copies a little more again
  if (!(thrown instanceof CommandFailed)) throw thrown;
}
