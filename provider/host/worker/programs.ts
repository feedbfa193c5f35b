/** Programs of the host that the worker runs, as qemu-img and virsh. */

import { z } from "zod";
import { madeReply } from "./changes.js";
import type { HeldFile } from "./files.js";
import { type ChangeOptions, changes } from "./operation.js";
import type { Place } from "./place.js";
import type { Worker } from "./worker.js";

export interface ProgramOptions extends ChangeOptions {
  /** Default: nothing. */
  stdin?: Buffer;
  /**
   * Of each output. More is a failure, not a shorter output.
   * @default 1 MiB
   */
  outputBytesAtMost?: number;
  /**
   * `end`: a cancelled program is ended with all that it started. `finish`: it is waited for, by the end of the worker too.
   * @default "end"
   */
  whenCancelled?: "end" | "finish";
}

const output = z.base64().transform((text) => Buffer.from(text, "base64"));
const ran = z.object({
  /** Null where a signal ended it. */
  exitStatus: z.int().nullable(),
  signal: z.int().nullable(),
  stdout: output,
  stderr: output,
});

export type Ran = z.output<typeof ran>;

/** In a command line: the path of the file that the program makes. */
export const theNewFile = { new: true } as const;

interface ProgramArguments<Other> {
  words: readonly (string | Other)[];
  stdin: string;
  outputBytesAtMost: number;
  whenCancelled: "end" | "finish";
  locks: readonly number[];
}

const run = changes<ProgramArguments<HeldFile>, Ran>("program-run", ran);

/**
 * A program with its words, through no shell. It inherits the worker's locks.
 * @param words a file that is held open stands for a path by which the program opens that very file
 * @throws WorkerError `no-program`; `too-large` if it says too much; `cancelled`, `timed-out`
 */
export function runProgram(worker: Worker, words: readonly (string | HeldFile)[], options: ProgramOptions = {}): Promise<Ran> {
  return worker.request(run, { words, ...argumentsOf(options) }, options);
}

const makes = ran.extend({ made: madeReply.nullable() });
type Makes = ProgramArguments<typeof theNewFile> & { place: Place; like: Place | null };

/** What the program made, and how it ended. */
export type Made = z.output<typeof makes>;

const make = changes<Makes, Made>("program-make", makes);

export interface MakingOptions extends Omit<ProgramOptions, "whenCancelled"> {
  place: Place;
  /** The file whose owner, mode, ACLs, security label and attributes the new one gets. */
  like?: Place;
}

/**
 * A new file that a program makes, durable when this is answered, or not there: `made` is null where the program has failed.
 * @param words {@link theNewFile} stands for its path
 * @throws WorkerError `system` with EEXIST; `no-program`; `other-file`; `lock-lost`
 */
export function makeByProgram(worker: Worker, words: readonly (string | typeof theNewFile)[], options: MakingOptions): Promise<Made> {
  const { place, like = null } = options;
  return worker.request(make, { words, place, like, ...argumentsOf({ ...options, whenCancelled: "finish" }) }, options);
}

function argumentsOf(options: ProgramOptions): Omit<ProgramArguments<never>, "words"> {
  const { stdin = Buffer.alloc(0), outputBytesAtMost = 1024 * 1024, whenCancelled = "end", locks = [] } = options;
  return { stdin: stdin.toString("base64"), outputBytesAtMost, whenCancelled, locks };
}

/** What a program says of a file that it was given by {@link HeldFile} or {@link theNewFile}, with the name that people know it by. */
export function withPath(said: string, path: string): string {
  return said.replaceAll(/\/proc\/self\/fd\/\d+/g, () => path);
}
