/** Programs of the host that the worker runs, as qemu-img and virsh. */

import { z } from "zod";
import { type ChangeOptions, changes } from "./operation.js";
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

interface ProgramArguments {
  words: readonly string[];
  stdin: string;
  outputBytesAtMost: number;
  whenCancelled: "end" | "finish";
  locks: readonly number[];
}

const run = changes<ProgramArguments, Ran>("program-run", ran);

/**
 * A program with its words, through no shell. It inherits the worker's locks.
 * @throws WorkerError `no-program`; `too-large` if it says too much; `cancelled`, `timed-out`
 */
export function runProgram(worker: Worker, words: readonly string[], options: ProgramOptions = {}): Promise<Ran> {
  const { stdin = Buffer.alloc(0), outputBytesAtMost = 1024 * 1024, whenCancelled = "end", locks = [] } = options;
  return worker.request(run, { words, stdin: stdin.toString("base64"), outputBytesAtMost, whenCancelled, locks }, options);
}
