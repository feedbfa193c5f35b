/** Starts the worker's program on a stream. */

import { UnreachableError, UserError } from "../../core/errors.js";
import { readLines } from "./line-reader.js";
import { silenceSecondsAtMost, workerProgram } from "./program.js";
import { firstLine, parsed } from "./replies.js";
import { Worker, type WorkerStream } from "./worker.js";

export interface WorkerTimes {
  /**
   * Between two words to the worker, which ends after 30 s without one.
   * @default 10
   */
  wordSeconds?: number;
  /**
   * After so long without a word it ends.
   * @default 30
   */
  silenceSeconds?: number;
  /**
   * How long it may take to begin.
   * @default 20
   */
  startSeconds?: number;
}

/**
 * Sends the program to what runs the start script, and waits until it has begun.
 * @throws UserError if the host has no python 3.6 or newer with its standard library
 * @throws UnreachableError if it does not begin in time
 */
export function startWorker(
  channel: WorkerStream,
  { startSeconds = 20, wordSeconds = 10, silenceSeconds = silenceSecondsAtMost }: WorkerTimes = {},
): Promise<Worker> {
  return new Promise((resolve, reject) => {
    let worker: Worker | undefined;
    const fail = (reason: Error) => {
      clearTimeout(late);
      reject(reason);
      channel.stream.destroy();
    };
    const late = setTimeout(() => fail(notBegun(channel, `it did not begin within ${startSeconds} s`)), startSeconds * 1000);
    const begin = (text: string) => {
      const first = firstLine.safeParse(parsed(text));
      if (!first.success) fail(notBegun(channel, "something else answers in its place"));
      else if ("missing" in first.data) fail(noPython(channel, first.data));
      else {
        clearTimeout(late);
        worker = new Worker(channel, first.data.hello, { wordSeconds, silenceSeconds });
        resolve(worker);
      }
    };
    const over = (why: "ended" | "too-long") => (worker ? worker.over(why) : fail(notBegun(channel, "it ended before it began")));
    channel.stream.on("error", () => over("ended"));
    readLines(channel.stream, { line: (text) => (worker ? worker.take(text) : begin(text)), over });
    channel.stream.write(workerProgram(silenceSeconds).payload);
  });
}

function notBegun({ hostName, stderr }: WorkerStream, why: string): Error {
  const said = stderr().trim();
  return new UnreachableError(
    `Unable to start the worker on ${hostName}: ${why}${said === "" ? "" : `: ${said.slice(-2000)}`}. Run \`pulumi up\` again.`,
  );
}

function noPython({ hostName }: WorkerStream, { missing, found }: { missing: string; found?: string | undefined }): Error {
  if (found !== undefined)
    return new UserError(`${hostName} has python ${found}; 3.6 or newer is required. Install a newer python3 there.`);
  if (missing === "python3") return new UserError(`${hostName} has no python3, which is required there. Install the package python3.`);
  return new UserError(
    `The python3 of ${hostName} has no module ${missing}. Install the package python3 there: python3-minimal is not enough.`,
  );
}
