/** What the rest of the provider asks of a host. Nothing outside host/ opens a connection. */

import type { Duplex } from "node:stream";

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

/** A connected host. All file paths are absolute paths on the host. */
export interface Host {
  /** For messages: `db-3`, or `db-3:2222`. */
  readonly name: string;

  /**
   * Runs a fixed POSIX script with arguments in `$1`, `$2`, … . No user's text ever stands in the script itself.
   * Runs in a shell that is already open, so it costs a round trip and not an exec. Exit status non-zero is an answer, not an error.
   * @throws UnreachableError if no answer came (the command may go on: see the message)
   */
  run(script: string, args?: readonly string[], options?: RunOptions): Promise<Finished>;

  /**
   * A shell of one's own, running a fixed script with arguments, for work that talks back and forth: the copier, the switch's guard.
   * Counts as a session; waits for a free one.
   */
  open(script: string, args?: readonly string[]): Promise<Conversation>;

  /** A stream to a Unix socket on the host: forwarded, or through `socat`/`nc -U` where sshd forbids forwarding or `privilege` is `sudo`. */
  connectSocket(path: string): Promise<Duplex>;
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
  /** Drops the session at once, whatever the script is doing. */
  abandon(): void;
}

/** Secrets for signing in. They are never resource arguments, never in state, never in a message. */
export interface Credentials {
  /** A private key's text (OpenSSH or PEM). */
  privateKey?: string;
  /** The pass phrase of `privateKey` or of the host's `identityFile`. */
  passphrase?: string;
  password?: string;
  /** No secret: the hosts, jump hosts too, that `password` may be sent to, each as {@link Host.name} has it; any other host is not sent it. */
  passwordFor?: readonly string[];
}
