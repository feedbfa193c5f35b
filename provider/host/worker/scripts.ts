/** Fixed scripts, run by a shell on the host. */

import { z } from "zod";
import { BugError, UnreachableError } from "../../core/errors.js";
import { changes, reads } from "./operation.js";
import type { Worker } from "./worker.js";
import { isFailure } from "./worker-error.js";

/** How a command ended. `stdout` and `stderr` are decoded as UTF-8. */
export interface Finished {
  exitStatus: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  /** Written to the command's standard input, which is then closed. Default: nothing. */
  stdin?: string | Buffer;
  /**
   * No answer in this time is an {@link UnreachableError}.
   * @default 30
   */
  timeoutSeconds?: number;
}

const outputMibAtMost = 10;

const output = z.base64().transform((text) => Buffer.from(text, "base64"));
const ran = z.object({ exitStatus: z.int(), stdout: output, stderr: output });
const said = z.object({ stdout: output.optional(), stderr: output.optional() });
const ended = z.object({ exitStatus: z.int() });

export interface Script {
  /** Fixed text, no user's. */
  script: string;
  /** `$1`, `$2`, … */
  args: readonly string[];
}

/** A script may ask or change: its outcome is what the host says when it is asked again. */
const run = reads<Script & { stdin: string; outputBytesAtMost: number }, z.output<typeof ran>>("script-run", ran);
const talk = changes<Script, z.output<typeof ended>>("script-talk", ended);

/**
 * Runs a script in a shell of its own.
 * @throws UnreachableError if it does not end in time, or the worker has ended
 */
export async function runScript(worker: Worker, script: Script, options: RunOptions = {}): Promise<Finished> {
  const { stdin = "", timeoutSeconds = 30 } = options;
  const what = () => `Unable to run "${nameOf(script)}" on ${worker.hostName}`;
  try {
    const given = {
      ...script,
      stdin: Buffer.from(stdin).toString("base64"),
      outputBytesAtMost: outputMibAtMost * 1024 * 1024,
    };
    const { exitStatus, stdout, stderr } = await worker.request(run, given, { deadlineSeconds: timeoutSeconds });
    return { exitStatus, stdout: stdout.toString(), stderr: stderr.toString() };
  } catch (cause) {
    if (isFailure(cause, "timed-out")) {
      throw new UnreachableError(
        `${what()}: no answer within ${timeoutSeconds} s. It may still be running there: look at the host's storage and load, then run \`pulumi up\` again.`,
        { cause },
      );
    }
    if (isFailure(cause, "too-large")) throw new BugError(`${what()}: it answers more than ${outputMibAtMost} MiB.`, { cause });
    throw cause;
  }
}

/** For messages: the script's beginning. Arguments are paths at most, never secrets, but may be long. */
function nameOf({ script, args }: Script): string {
  const [first = ""] = script.trim().split("\n");
  return [first.slice(0, 80), ...args.slice(0, 3)].join(" ").slice(0, 200);
}

export interface TalkListener {
  stdout(piece: Buffer): void;
  stderr(piece: Buffer): void;
}

/** A script that is talked to. */
export interface Talk {
  write(piece: Buffer): void;
  /** Its input ends. */
  endInput(): void;
  /** Nobody listens to it any more: its input ends, and it goes on by itself. */
  leave(): void;
  /** 128 and the signal's number where a signal ended it, as in a shell. */
  exitStatus: Promise<number>;
}

export function talkToScript(worker: Worker, script: Script, listener: TalkListener): Talk {
  const leaving = new AbortController();
  let give: (piece: Buffer | undefined) => void = () => {};
  const onEvent = (event: unknown) => {
    const { stdout, stderr } = said.parse(event);
    if (stdout) listener.stdout(stdout);
    if (stderr) listener.stderr(stderr);
  };
  const options = { deadlineSeconds: 0, signal: leaving.signal, onEvent, onBegun: (given: typeof give) => (give = given) };
  const exitStatus = worker.request(talk, script, options).then((reply) => reply.exitStatus);
  return { write: (piece) => give(piece), endInput: () => give(undefined), leave: () => leaving.abort(), exitStatus };
}
