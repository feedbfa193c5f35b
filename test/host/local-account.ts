/** An account on this machine in place of one behind an sshd: what host/ makes of a session is tried without signing in. */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { Duplex, type Readable } from "node:stream";
import type { ClientChannel } from "ssh2";
import type { Account } from "../../provider/host/script-session.js";
import { Sessions } from "../../provider/host/sessions.js";
import type { SshConnection } from "../../provider/host/ssh-connection.js";
import { Waits } from "../../provider/host/waits.js";

/** A program's streams as ssh2 has those of a session. */
class LocalChannel extends Duplex {
  readonly stderr: Readable;

  constructor(private readonly child: ChildProcessWithoutNullStreams) {
    super({ emitClose: false });
    this.stderr = child.stderr;
    child.stdin.on("error", () => {}); // a program that reads nothing may have ended already
    child.stdout.on("data", (piece: Buffer) => this.push(piece));
    child.once("close", (code, signal) => {
      // as ssh2's onCHANNEL_CLOSE() does
      this.once("end", () => this.emit("close", code, signal ?? undefined));
      this.push(null);
      this.end();
    });
  }

  override _read(): void {}

  override _write(piece: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.child.stdin.writable) this.child.stdin.write(piece);
    done();
  }

  override _final(done: () => void): void {
    this.child.stdin.end();
    done();
  }

  close(): void {
    this.child.stdin.end();
  }

  /** To all that it has started, so that nothing of a test stays. */
  signal(name: string): void {
    if (this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, `SIG${name}`);
    } catch {
      // it has ended
    }
  }
}

export interface LocalOptions {
  /**
   * What the login shell makes of a command that it is asked to run.
   * @default the command itself
   */
  login?: (command: string) => string;
  /** Thrown in place of the next sessions, in turn. */
  refusals?: Error[];
  privilege?: Account["privilege"];
  startSeconds?: number;
}

export interface LocalAccount extends Account {
  waits: Waits;
  /** Commands that a session was opened for. */
  opened: string[];
}

/** Its sessions end with their input, as an sshd's do. */
export function localAccount({
  login = (command) => command,
  refusals = [],
  privilege = "user",
  startSeconds = 20,
}: LocalOptions = {}): LocalAccount {
  const waits = new Waits();
  const opened: string[] = [];
  const exec = async (command: string) => {
    const refusal = refusals.shift();
    if (refusal) throw refusal;
    opened.push(command);
    return new LocalChannel(spawn("sh", ["-c", login(command)], { detached: true })) as unknown as ClientChannel;
  };
  // of a connection host/ uses these three for its sessions
  const connection = { name: "db-3", waits, exec } as unknown as SshConnection;
  return { connection, sessions: new Sessions(connection), user: "deploy", privilege, startSeconds, waits, opened };
}
