/** What the rest of the provider asks of a host. Nothing outside host/ opens a connection. */

import type { World } from "../core/world.js";
import type { Finished, RunOptions } from "./worker/scripts.js";
import type { Worker } from "./worker/worker.js";

export type { Finished, RunOptions };

/** A connected host. All file paths are absolute paths on the host. */
export interface Host {
  /** For messages: `db-3`, or `db-3:2222`. */
  readonly name: string;

  /** Of the run that has connected it. */
  readonly world: World;

  /** Where lock and manifest of a disk lie whose own directory has no room for them. It need not be there. */
  readonly stateDirectory: string;

  /**
   * Runs a fixed POSIX script with arguments in `$1`, `$2`, … . No user's text ever stands in the script itself.
   * Exit status non-zero is an answer, not an error. Several may run side by side.
   * @throws UnreachableError if no answer came (the command may go on: see the message)
   */
  run(script: string, args?: readonly string[], options?: RunOptions): Promise<Finished>;

  /** Runs a fixed script with arguments that talks back and forth, as virsh. */
  open(script: string, args?: readonly string[]): Promise<Conversation>;

  /**
   * What does everything on the host, also for {@link run} and {@link open}; a new one where the last one has ended.
   * @throws UserError if the account has no shell, sudo refuses, or the host has no python 3.6 or newer
   * @throws UnreachableError if the host does not answer
   */
  worker(): Promise<Worker>;

  /**
   * Does `work`, which holds locks, on one worker: until it is over this very worker does everything here, for whoever asks, or it fails with
   * the reason why the worker has ended. So a run whose locks went with its worker changes nothing any more.
   */
  withOneWorker<T>(work: (worker: Worker) => Promise<T>): Promise<T>;
}

/** A script that runs on the host while we write lines to it and read lines from it. */
export interface Conversation {
  /** Sends one line. */
  send(line: string): void;
  /**
   * The next line of the script's standard output.
   * @throws UnreachableError if the deadline passes or the connection ends; if the script ended, the message holds its exit status and standard error
   */
  next(timeoutSeconds: number): Promise<string>;
  /** Closes the script's standard input and waits for its end. */
  end(timeoutSeconds?: number): Promise<Finished>;
  /** Listens no longer, whatever the script is doing; it sees the end of its input. */
  abandon(): void;
}
