/** Records now and then how far a copy is safely on the storage. */

import type { Copying, PartialRecord } from "./copying.js";

/** What is copied is synced and recorded after so many bytes or seconds, whichever comes first. */
const recordBytes = 2 ** 30;
const recordSeconds = 2;

export class Ledger {
  #unrecordedBytes = 0;
  #recordedAt = performance.now();
  #syncedPosition: number;

  readonly #copying: Copying;
  readonly #record: PartialRecord;

  constructor(
    copying: Copying,
    record: PartialRecord,
    /** All before this offset is copied, or is a hole. */
    public position = record.copy.doneBytes,
  ) {
    this.#copying = copying;
    this.#record = record;

    this.#syncedPosition = position;
  }

  async add(position: number, bytes: number): Promise<void> {
    this.position = position;
    this.#unrecordedBytes += bytes;
    const seconds = (performance.now() - this.#recordedAt) / 1000;
    if (this.#unrecordedBytes >= recordBytes || seconds >= recordSeconds) await this.flush();
  }

  /** Synced first: what is recorded is never copied again, also after a crash of the host. */
  async flush(): Promise<void> {
    const { shell } = this.#copying;
    await this.#sync();
    if (this.#unrecordedBytes > 0) await shell.write({ ...this.#record, copy: { ...this.#record.copy, doneBytes: this.position } });
    this.#unrecordedBytes = 0;
    this.#recordedAt = performance.now();
  }

  /** The kernel tells once of pages that it could not write, and takes them for written then (fsync(2)): nothing since the last sync counts. */
  async #sync(): Promise<void> {
    try {
      await this.#copying.shell.syncPartial();
    } catch (failure) {
      this.position = this.#syncedPosition;
      this.#unrecordedBytes = 0;
      throw failure;
    }
    this.#syncedPosition = this.position;
  }
}
