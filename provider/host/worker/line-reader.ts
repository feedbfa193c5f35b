/** Lines of bounded length from a stream. */

import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/** In either direction, as in wire.py. */
const lineCharactersAtMost = 16 * 1024 * 1024;

export interface LineListener {
  line(text: string): void;
  /** Once: the stream has ended, or said a line that is too long. */
  over(why: "ended" | "too-long"): void;
}

export function readLines(stream: Readable, listener: LineListener): void {
  const decoder = new StringDecoder("utf8");
  const partial: string[] = [];
  let length = 0;
  let state: "open" | "over" = "open";
  const over = (why: "ended" | "too-long") => {
    if (state === "open") listener.over(why);
    state = "over";
  };
  stream.on("data", (piece: Buffer) => {
    const [first = "", ...more] = decoder.write(piece).split("\n");
    partial.push(first);
    length += first.length;
    for (const next of more) {
      if (length > lineCharactersAtMost) break;
      if (state === "open") listener.line(partial.join(""));
      partial.splice(0, partial.length, next);
      length = next.length;
    }
    if (length > lineCharactersAtMost) over("too-long");
  });
  stream.once("close", () => over("ended")).once("end", () => over("ended"));
  stream.resume(); // an SSH channel is paused until somebody listens
}
