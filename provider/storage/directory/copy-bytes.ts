/** Has the worker bring a layer's bytes into the partial, and records how far it is. */

import { bytesText } from "../../core/bytes.js";
import { UserError } from "../../core/errors.js";
import type { CopyProgress } from "../../host/worker/copying.js";
import { isFailure } from "../../host/worker/worker-error.js";
import { type Copying, type PartialRecord, unable } from "./copying.js";
import { ifRefused, isRefusal, wordsOf } from "./layer-failures.js";
import type { LayerPartial } from "./layer-partial.js";

/**
 * Goes on from what the record says is done, and records now and then what is safely on the storage, also when it fails.
 * @returns the record of a partial that holds all bytes
 * @throws WorkerError `changed` where the source was written to
 */
export async function copyBytes(copying: Copying, partial: LayerPartial, record: PartialRecord): Promise<PartialRecord> {
  const { options } = copying;
  const ledger = new Ledger(copying, record);
  try {
    await partial.copy({
      resumeBytes: record.copy.doneBytes,
      bytesPerSecond: options.maxBytesPerSecond,
      signal: options.stop,
      onProgress: (progress) => ledger.heard(progress),
    });
  } catch (thrown) {
    await ledger.written();
    if (isFailure(thrown, "cancelled")) throw stopped(copying, ledger);
    if (!isRefusal(thrown) || isFailure(thrown, "changed")) throw thrown;
    throw await cutShort(copying, ledger, { words: wordsOf(thrown), cause: thrown });
  }
  await ledger.written();
  return { ...record, copy: { ...record.copy, doneBytes: options.sourceIdentity.sizeBytes } };
}

/** How far a copy is, and the record of what is durable of it. */
class Ledger {
  #resumeBytes: number;
  #writing: Promise<void> = Promise.resolve();
  /** From there the next run goes on; 0: it begins anew. */
  recordedBytes: number;
  /** Of what holds data. */
  done = 0;
  total: number;

  readonly #copying: Copying;
  readonly #record: PartialRecord;

  constructor(copying: Copying, record: PartialRecord) {
    this.#copying = copying;
    this.#record = record;
    this.recordedBytes = this.#resumeBytes = record.copy.doneBytes;
    this.total = copying.options.sourceIdentity.sizeBytes;
  }

  heard({ dataBytes, dataTotalBytes, resumeBytes }: CopyProgress): void {
    this.done = dataBytes;
    this.total = dataTotalBytes;
    if (resumeBytes > this.#resumeBytes) {
      this.#resumeBytes = resumeBytes;
      const record = { ...this.#record, copy: { ...this.#record.copy, doneBytes: resumeBytes } };
      // without it the next run only copies a little more again, and what is the matter is told by the copy, or by its last record
      this.#writing = this.#writing
        .then(() => this.#copying.layer.write(record))
        .then(() => {
          this.recordedBytes = resumeBytes;
        })
        .catch(() => undefined);
    }
    this.#copying.options.progress(dataBytes, dataTotalBytes);
  }

  written(): Promise<void> {
    return this.#writing;
  }
}

function stopped({ host, options }: Copying, { done, total }: Ledger): UserError {
  const how = `it was stopped after ${bytesText(done)} of ${bytesText(total)}`;
  return new UserError(`${unable(host, options)}: ${how}. Run \`pulumi up\` again to go on from there.`);
}

/** Whether room is what is missing is told from the free space, not from the words. */
async function cutShort(
  { host, layer, options }: Copying,
  { done, total, recordedBytes }: Ledger,
  { words, cause }: { words: string; cause: unknown },
): Promise<UserError> {
  const freeBytes = await layer.freeBytes().catch(ifRefused); // then only what the copy said is told
  const bytesLeft = total - done;
  const short = freeBytes === undefined ? 0 : bytesLeft - freeBytes;
  const room =
    freeBytes !== undefined && short > 0
      ? ` ${bytesText(bytesLeft)} are still to be copied and ${bytesText(freeBytes)} are free: free at least ${bytesText(short, "up")}.`
      : "";
  const advice = recordedBytes > 0 ? "What is copied stays; run `pulumi up` again to go on from there" : "Run `pulumi up` again";
  return new UserError(`${unable(host, options)}: ${words}.${room} ${advice}.`, { cause });
}
