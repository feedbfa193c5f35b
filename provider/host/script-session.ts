/** A fixed script running on the host in a session of its own, past whatever the login shell says first. */

import { randomBytes } from "node:crypto";
import { constants } from "node:os";
import type { ClientChannel } from "ssh2";
import { UnreachableError, UserError } from "../core/errors.js";
import { firstLineText, loginCommand } from "./quoting.js";
import type { Sessions } from "./sessions.js";
import type { SshConnection } from "./ssh-connection.js";

/** What is kept of a script's complaints, and of what stands in a shell's place. */
const wordsAtMost = 64 * 1024;

export interface Account {
  connection: SshConnection;
  sessions: Sessions;
  user: string;
  privilege: "user" | "sudo";
  /**
   * How long a script may take to begin.
   * @default 20
   */
  startSeconds?: number;
}

export class ScriptSession {
  #words = "";
  #status: number | undefined;
  #isEnded = false;

  private constructor(
    readonly account: Account,
    /** Standard output, from the script's first byte on; standard input. Paused until somebody listens. */
    readonly channel: ClientChannel,
  ) {
    // "exit" may have been emitted before anybody could listen; "close" says the same, when all output has been read
    channel.on("close", (code?: number | null, signal?: string) => {
      this.#isEnded = true;
      if (code !== undefined) this.#status = code ?? 128 + (constants.signals[signal as NodeJS.Signals] ?? 0);
    });
    channel.on("error", () => {}); // to write behind the end: "close" says all there is to say
  }

  /**
   * @throws UserError if the account has no shell, or sudo refuses
   * @throws UnreachableError if no session is free, or the script does not start in 20 s
   */
  static async start(account: Account, script: string, args: readonly string[]): Promise<ScriptSession> {
    const token = randomBytes(16).toString("hex");
    const line = firstLineText(token, script, args);
    const session = new ScriptSession(account, await account.sessions.take(loginCommand[account.privilege]));
    try {
      session.channel.write(line);
      await session.#skipGreetings(token);
      return session;
    } catch (thrown) {
      session.drop();
      throw thrown;
    }
  }

  /** Standard error so far, its beginning where it is long. */
  get complaints(): string {
    return this.#words;
  }

  get isOver(): boolean {
    return this.#isEnded;
  }

  /** Ends the session at once; the script sees the end of its input, and what it does then is its own. */
  drop(): void {
    this.channel.resume();
    this.channel.stderr.resume();
    this.channel.close();
  }

  /** Both outputs have their token: nothing of the login shell's own is still on the way. */
  #skipGreetings(token: string): Promise<void> {
    const { channel, account } = this;
    const { startSeconds = 20 } = account;
    const out = skipTo(token);
    const err = skipTo(token);
    const skipped = () => [err, out].map((skip) => skip.skipped()).join("\n");
    const late = () => this.#noScript(skipped(), `nothing sensible came back within ${startSeconds} s`);
    let over = () => {};
    const past = account.connection.waits.wait<void>(startSeconds, late, ({ resolve, reject }) => {
      over = () => reject(this.#noScript(skipped(), `it ended with status ${this.#status ?? "unknown"}`));
      const readOut = (piece: Buffer) => {
        const rest = out.after(piece);
        if (rest === undefined) return;
        channel.off("data", readOut).pause();
        if (rest.length > 0) channel.unshift(rest);
        if (err.isPast()) resolve();
      };
      channel.stderr.on("data", (piece: Buffer) => {
        const rest = err.after(piece);
        if (rest === undefined) return;
        this.#complain(rest);
        if (out.isPast()) resolve();
      });
      channel.on("data", readOut).once("close", over);
    });
    return past.finally(() => channel.off("close", over));
  }

  #complain(piece: Buffer): void {
    if (this.#words.length < wordsAtMost) this.#words += piece.toString();
  }

  #noScript(skipped: string, what: string): Error {
    const { connection, privilege, user } = this.account;
    const said = skipped.trim().slice(0, 500);
    const evidence = said === "" ? what : `${what} and said "${said}"`;
    if (privilege === "sudo") {
      return new UserError(
        `Unable to run commands as root on ${connection.name}: \`sudo -n sh\`: ${evidence}. ` +
          `Let ${user} use it without a password, by the line \`${user} ALL=(root) NOPASSWD: ALL\` in /etc/sudoers.d/livedisk there (\`visudo -f\`), or set \`privilege: "user"\`.`,
      );
    }
    if (said === "" && !this.isOver) {
      return new UnreachableError(
        `Unable to run commands on ${connection.name}: ${evidence}. Check that host's load, and the login files of ${user}.`,
      );
    }
    return new UserError(
      `Unable to run commands on ${connection.name}: in place of a shell, ${evidence}. The account ${user} needs a login shell and an sshd without ForceCommand for it.`,
    );
  }
}

/** Lets nothing through up to the line that is the token. */
function skipTo(token: string) {
  let skipped: Buffer = Buffer.alloc(0);
  let isFound = false;
  const mark = Buffer.from(`${token}\n`);
  return {
    /** What of this piece comes after the token, or undefined while it has not come. */
    after(piece: Buffer): Buffer | undefined {
      if (isFound) return piece;
      skipped = Buffer.concat([skipped, piece]);
      // At a line's start, or after a greeting without a line break; our own line, sent back by something that echoes, goes on behind the token.
      const at = skipped.indexOf(mark);
      if (at < 0) {
        if (skipped.length > wordsAtMost) skipped = skipped.subarray(-wordsAtMost / 2);
        return undefined;
      }
      isFound = true;
      const rest = skipped.subarray(at + mark.length);
      skipped = skipped.subarray(0, at);
      return rest;
    },
    isPast: () => isFound,
    skipped: () => skipped.toString(),
  };
}
