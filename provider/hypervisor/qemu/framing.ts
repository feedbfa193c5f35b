/** Cuts what a monitor sends into messages. On bytes: a chunk may end within a character. */

import { UnreachableError } from "../../core/errors.js";

const newline = 0x0a;

/** More than any guest's block graph needs (a node is about 1 KiB), and less than what would exhaust us. */
export const maxMessageBytes = 64 * 1024 * 1024;

/** What a line that is kept takes besides its bytes, so that an object of short lines cannot exhaust us either. */
const lineCostBytes = 64;

export class MessageCutter {
  #line: Buffer[] = [];
  #lineBytes = 0;
  #object: string[] = [];
  #objectBytes = 0;

  /**
   * The messages that are complete with this chunk, in order.
   * @throws UnreachableError if a message grows beyond {@link maxMessageBytes}
   */
  push(chunk: Buffer): string[] {
    const messages: string[] = [];
    let rest = chunk;
    for (let end = rest.indexOf(newline); end >= 0; end = rest.indexOf(newline)) {
      this.#grow(rest.subarray(0, end));
      rest = rest.subarray(end + 1);
      const message = this.#endLine();
      if (message !== undefined) messages.push(message);
    }
    this.#grow(rest);
    return messages;
  }

  #grow(bytes: Buffer): void {
    if (bytes.length > 0) this.#line.push(bytes);
    this.#lineBytes += bytes.length;
    if (this.#lineBytes + this.#objectBytes <= maxMessageBytes) return;
    throw new UnreachableError(`it sent a message of more than ${maxMessageBytes / 1024 / 1024} MiB, which no monitor does.`);
  }

  /** `pretty=on` spreads an object over lines: its braces then stand alone in the first column (qobject_to_json_pretty(), QEMU 7.2). */
  #endLine(): string | undefined {
    const line = Buffer.concat(this.#line).toString("utf8").replace(/\r$/, "");
    this.#objectBytes += this.#lineBytes + lineCostBytes;
    this.#line = [];
    this.#lineBytes = 0;
    this.#object.push(line);
    const within = this.#object[0] === "{" && line !== "}";
    if (within) return undefined;
    const message = this.#object.join("\n");
    this.#object = [];
    this.#objectBytes = 0;
    return message === "" ? undefined : message;
  }
}
