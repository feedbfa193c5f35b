/** The guest's serial line, over all its boots: which records it called safe, and how long each took. */

import { closeSync, existsSync, openSync, readSync } from "node:fs";

export class SerialLog {
  #position = 0;
  #unfinished = "";
  #text = "";
  readonly #records = new Map<string, { sequence: number; durationMs: number }[]>();

  constructor(readonly path: string) {}

  /** Numbers of the records that the guest called safe, in the order in which it did. */
  acknowledged(guestName: string): readonly { sequence: number; durationMs: number }[] {
    this.#readOn();
    return this.#records.get(guestName) ?? [];
  }

  /** What the guest said besides records, since `mark`. */
  textSince(mark: number): string {
    this.#readOn();
    return this.#text.slice(mark);
  }

  /** The place to give to {@link textSince}. */
  mark(): number {
    this.#readOn();
    return this.#text.length;
  }

  #readOn(): void {
    if (!existsSync(this.path)) return;
    const lines = (this.#unfinished + this.#readNew()).split("\n");
    // A line without its end is not said yet: QEMU may be killed in the middle of it.
    this.#unfinished = lines.pop() ?? "";
    for (const line of lines) this.#take(line.trimEnd());
  }

  #readNew(): string {
    const file = openSync(this.path, "r");
    try {
      const parts: string[] = [];
      const buffer = Buffer.alloc(65536);
      for (let count = readSync(file, buffer, 0, buffer.length, this.#position); count > 0; ) {
        this.#position += count;
        parts.push(buffer.toString("latin1", 0, count));
        count = readSync(file, buffer, 0, buffer.length, this.#position);
      }
      return parts.join("");
    } finally {
      closeSync(file);
    }
  }

  #take(line: string): void {
    const record = /^W (\S+) (\d+) (\d+)us$/.exec(line);
    if (record === null) {
      this.#text += `${line}\n`;
      return;
    }
    const [, guestName = "", sequence, duration] = record;
    const list = this.#records.get(guestName) ?? [];
    list.push({ sequence: Number(sequence), durationMs: Number(duration) / 1000 });
    this.#records.set(guestName, list);
  }
}
