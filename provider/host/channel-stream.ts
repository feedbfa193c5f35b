/** A channel as the rest of Node knows streams: ssh2's own never emits an error and cannot be destroyed with one. */

import { Duplex } from "node:stream";
import type { ClientChannel } from "ssh2";

export class ChannelStream extends Duplex {
  readonly #channel: ClientChannel;

  constructor(
    channel: ClientChannel,
    /** Why it ended, if not as it should. Asked when the channel has closed. */
    failure: () => Error | undefined,
  ) {
    super({ allowHalfOpen: true });
    this.#channel = channel;

    channel.on("data", (piece: Buffer) => {
      if (!this.push(piece)) channel.pause();
    });
    channel.once("end", () => this.push(null));
    channel.on("error", (cause: Error) => this.destroy(cause));
    channel.once("close", () => {
      const reason = failure();
      if (reason || this.readableEnded) this.destroy(reason);
      else this.once("end", () => this.destroy());
    });
    channel.resume();
  }

  override _read(): void {
    this.#channel.resume();
  }

  override _write(piece: Buffer, encoding: BufferEncoding, done: (failure?: Error | null) => void): void {
    if (this.#channel.writable) this.#channel.write(piece, encoding, done);
    else done(new Error("the other side has closed the stream"));
  }

  override _final(done: (failure?: Error | null) => void): void {
    this.#channel.end();
    done();
  }

  override _destroy(failure: Error | null, done: (failure?: Error | null) => void): void {
    this.#channel.resume(); // ssh2 says "close" only to who has read all
    this.#channel.stderr?.resume();
    this.#channel.close();
    done(failure);
  }
}
