/** The shell that stays open: one command after the other, each framed by a token that no command can know. */

import { randomBytes } from "node:crypto";
import { BugError, UnreachableError } from "../core/errors.js";
import type { Finished, RunOptions } from "./host.js";
import { quote, scriptText } from "./quoting.js";
import { type Account, ScriptSession } from "./script-session.js";

const outputBytesAtMost = 16 * 1024 * 1024;

export class Shell {
  #session: Promise<ScriptSession> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  readonly #account: Account;

  constructor(account: Account) {
    this.#account = account;
  }

  /** How many commands wait or run. */
  get pending(): number {
    return this.#waiting;
  }

  get isOpen(): boolean {
    return this.#session !== undefined;
  }

  run(script: string, args: readonly string[], options: RunOptions): Promise<Finished> {
    const command = { script, args, options, token: randomBytes(16).toString("hex") };
    const text = framed(command);
    this.#waiting++;
    const finished = this.#last.then(() => this.#perform(command, text)).finally(() => this.#waiting--);
    this.#last = finished.catch(() => {});
    return finished;
  }

  async #perform(command: Command, text: string): Promise<Finished> {
    const session = await this.#open();
    try {
      return await exchange(session, command, text);
    } catch (thrown) {
      // Out of step with what it answers: the next command gets a shell of its own.
      this.#session = undefined;
      end(session);
      throw thrown;
    }
  }

  /**
   * @host sh
   * @for connection
   * @does keeps one shell open, in which short scripts run one after the other, each in a subshell; input for them comes through `base64
   *   -d`
   * @changes nothing
   * @as the account
   * @why a command costs a round trip and not a new session
   */
  async #open(): Promise<ScriptSession> {
    const standing = await this.#session?.catch(() => undefined);
    if (standing && !standing.isOver) return standing;
    this.#session = ScriptSession.start(this.#account, "exec sh", []);
    try {
      return await this.#session;
    } catch (thrown) {
      this.#session = undefined;
      throw thrown;
    }
  }
}

interface Command {
  script: string;
  args: readonly string[];
  options: RunOptions;
  token: string;
}

/**
 * The command in a subshell, its input apart from the shell's own, then its status after a token on either output.
 * Input goes through base64: it may hold any byte, and no line of it can be the here-document's end.
 * `eval` keeps a script that does not even parse from ending the shell.
 */
function framed({ script, args, options, token }: Command): string {
  const input = Buffer.from(options.stdin ?? "");
  const wrapped = input.toString("base64").replace(/.{1,4096}/g, "$&\n");
  const [before, after] = input.length > 0 ? [`base64 -d <<'${token}_' | (\n${wrapped}${token}_`, ")"] : ["(", ") </dev/null"];
  return `${before}\neval ${quote(scriptText(script, args))}\n${after}; printf '\\n%s %s\\n' ${token} $?; printf '\\n%s\\n' ${token} >&2\n`;
}

function exchange(session: ScriptSession, command: Command, text: string): Promise<Finished> {
  const { channel, account } = session;
  const { timeoutSeconds = 30 } = command.options;
  const stdout = new Framed(new RegExp(`\\n${command.token} (\\d+)\\n`));
  const stderr = new Framed(new RegExp(`\\n${command.token}\\n`));
  const what = `Unable to run "${nameOf(command)}" on ${account.connection.name}`;
  const late = () =>
    new UnreachableError(
      `${what}: no answer within ${timeoutSeconds} s. It may still be running there: look at the host's storage and load, then run \`pulumi up\` again.`,
    );
  let stopListening = () => {};
  return account.connection.waits
    .wait<Finished>(timeoutSeconds, late, ({ resolve, reject }) => {
      const reading = (framed: Framed) => (piece: Buffer) => {
        framed.add(piece);
        if (stdout.mark && stderr.mark) resolve({ exitStatus: Number(stdout.mark[1]), stdout: stdout.text, stderr: stderr.text });
        else if (stdout.bytes + stderr.bytes > outputBytesAtMost) reject(new BugError(`${what}: it answers more than 16 MiB.`));
      };
      const readOut = reading(stdout);
      const readErr = reading(stderr);
      const over = () => reject(new UnreachableError(`${what}: its shell ended before it answered. Run \`pulumi up\` again.`));
      channel.on("data", readOut).once("close", over).resume().stderr.on("data", readErr);
      stopListening = () => void channel.off("data", readOut).off("close", over).stderr.off("data", readErr);
      channel.write(text);
    })
    .finally(() => stopListening());
}

/** What came on one output before the token. */
class Framed {
  readonly #pieces: Buffer[] = [];
  #tail = "";
  bytes = 0;
  mark: RegExpExecArray | undefined;

  readonly #end: RegExp;

  constructor(end: RegExp) {
    this.#end = end;
  }

  add(piece: Buffer): void {
    if (this.mark) return;
    this.#pieces.push(piece);
    this.bytes += piece.length;
    // The token is the last thing before the shell waits again, so it is in the tail.
    this.#tail = (this.#tail + piece.toString("latin1")).slice(-256);
    this.mark = this.#end.exec(this.#tail) ?? undefined;
  }

  get text(): string {
    const all = Buffer.concat(this.#pieces);
    return all.toString("utf8", 0, this.bytes - (this.#tail.length - (this.mark?.index ?? 0)));
  }
}

/** For messages: the script's beginning. Arguments are paths at most, never secrets, but may be long. */
function nameOf({ script, args }: Command): string {
  const [first = ""] = script.trim().split("\n");
  return [first.slice(0, 80), ...args.slice(0, 3)].join(" ").slice(0, 200);
}

/** Kills what it runs where sshd lets us (not for root: session_signal_req, OpenSSH 9.2), so that the session comes free. */
function end(session: ScriptSession): void {
  if (!session.isOver) session.channel.signal("KILL");
  session.drop();
}
