/** Lines to and from a script on the host. */

import { StringDecoder } from "node:string_decoder";
import { UnreachableError } from "../core/errors.js";
import type { Conversation, Finished } from "./host.js";
import type { ScriptSession } from "./script-session.js";
import type { Ways } from "./waits.js";

const endSeconds = 30;

/** More than any script of ours says in one line, or while nobody reads: so no host can exhaust us. */
const lineAtMost = { mib: 1, characters: 1024 * 1024 };
const unreadAtMost = { mib: 16, characters: 16 * 1024 * 1024 };

/** What a line that is kept takes besides its characters, so that short ones cannot exhaust us either. */
export const lineCost = 64;

export class ScriptConversation implements Conversation {
  readonly #decoder = new StringDecoder("utf8");
  readonly #lines: string[] = [];
  #partial = "";
  #unread = 0;
  #excess: Error | undefined;
  readonly #readers: Ways<string>[] = [];
  readonly #enders: Ways<Finished>[] = [];

  readonly #session: ScriptSession;

  constructor(session: ScriptSession) {
    this.#session = session;

    session.channel
      .on("data", (piece: Buffer) => this.#receive(piece))
      .once("close", () => this.#finish())
      .resume();
  }

  send(line: string): void {
    // To write behind the end would destroy the channel, and what is still to be read with it.
    if (this.#session.channel.writable) this.#session.channel.write(`${line}\n`);
  }

  next(timeoutSeconds: number): Promise<string> {
    const { waits, name } = this.#session.account.connection;
    const late = () =>
      new UnreachableError(`The script on ${name} was silent for ${timeoutSeconds} s. Look at the host, then run \`pulumi up\` again.`);
    let ways: Ways<string> | undefined;
    return waits
      .wait<string>(timeoutSeconds, late, (these) => {
        ways = these;
        this.#readers.push(these);
        this.#deliver();
      })
      .finally(() => remove(this.#readers, ways));
  }

  async end(timeoutSeconds = endSeconds): Promise<Finished> {
    const { waits, name } = this.#session.account.connection;
    const late = () => new UnreachableError(`The script on ${name} did not end within ${timeoutSeconds} s. It may still be running there.`);
    this.#session.channel.end();
    try {
      return await waits.wait<Finished>(timeoutSeconds, late, (ways) => {
        this.#enders.push(ways);
        if (this.#excess || this.#session.isOver) this.#finish();
      });
    } catch (thrown) {
      this.abandon();
      throw thrown;
    }
  }

  abandon(): void {
    this.#session.drop();
  }

  #receive(piece: Buffer): void {
    if (this.#excess) return;
    const parts = (this.#partial + this.#decoder.write(piece)).split("\n");
    this.#partial = parts.pop() ?? "";
    this.#lines.push(...parts);
    for (const { length } of parts) this.#unread += length + lineCost;
    this.#deliver();
    const longest = Math.max(this.#partial.length, ...parts.map(({ length }) => length));
    if (longest > lineAtMost.characters) this.#cutOff(`a line of more than ${lineAtMost.mib} MiB`);
    else if (this.#unread > unreadAtMost.characters) this.#cutOff(`more than ${unreadAtMost.mib} MiB that nobody asked for`);
  }

  /** What it said last is not kept, and nothing more is taken from it. */
  #cutOff(what: string): void {
    const { name } = this.#session.account.connection;
    this.#excess = new UnreachableError(
      `The script on ${name} said ${what}, which it never does by itself. Look at that host, then run \`pulumi up\` again.`,
    );
    this.#lines.length = 0;
    this.#partial = "";
    this.abandon();
    for (const ways of [...this.#readers.splice(0), ...this.#enders.splice(0)]) ways.reject(this.#excess);
  }

  #deliver(): void {
    while (this.#readers.length > 0 && this.#lines.length > 0) {
      const line = this.#lines.shift() ?? "";
      this.#unread -= line.length + lineCost;
      this.#readers.shift()?.resolve(line);
    }
    if (this.#excess || this.#session.isOver) for (const reader of this.#readers.splice(0)) reader.reject(this.#over());
  }

  #finish(): void {
    this.#deliver();
    if (this.#enders.length === 0) return;
    const stdout = [...this.#lines.splice(0), this.#partial].join("\n");
    const { exitStatus, complaints } = this.#session;
    for (const ender of this.#enders.splice(0)) {
      if (this.#excess || exitStatus === undefined) ender.reject(this.#over());
      else ender.resolve({ exitStatus, stdout, stderr: complaints });
    }
  }

  #over(): Error {
    if (this.#excess) return this.#excess;
    const { exitStatus, complaints, account } = this.#session;
    const status = exitStatus === undefined ? "without saying how" : `with status ${exitStatus}`;
    const words = complaints.trim() === "" ? "" : `: ${complaints.trim().slice(0, 2000)}`;
    return new UnreachableError(`The script on ${account.connection.name} ended ${status}${words}. Run \`pulumi up\` again.`);
  }
}

function remove<T>(list: T[], one: T | undefined): void {
  const index = one === undefined ? -1 : list.indexOf(one);
  if (index >= 0) list.splice(index, 1);
}
