/** Lines to and from a script on the host. */

import { StringDecoder } from "node:string_decoder";
import { UnreachableError } from "../core/errors.js";
import type { Conversation, Finished } from "./host.js";
import { Waits, type Ways } from "./waits.js";
import { type Script, type Talk, talkToScript } from "./worker/scripts.js";
import type { Worker } from "./worker/worker.js";

const endSeconds = 30;

/** More than any script of ours says in one line, or while nobody reads: so no host can exhaust us. */
const lineAtMost = { mib: 1, characters: 1024 * 1024 };
const unreadAtMost = { mib: 16, characters: 16 * 1024 * 1024 };

/** What is kept of its complaints. */
const wordsAtMost = 64 * 1024;

/** What a line that is kept takes besides its characters, so that short ones cannot exhaust us either. */
export const lineCost = 64;

export class ScriptConversation implements Conversation {
  readonly #decoder = new StringDecoder("utf8");
  readonly #lines: string[] = [];
  #partial = "";
  #unread = 0;
  #excess: Error | undefined;
  #complaints = "";
  #exitStatus: number | undefined;
  #isEnding = false;
  readonly #waits = new Waits();
  readonly #readers: Ways<string>[] = [];
  readonly #enders: Ways<Finished>[] = [];

  readonly #hostName: string;
  readonly #talk: Talk;

  constructor(worker: Worker, script: Script) {
    this.#hostName = worker.hostName;
    this.#talk = talkToScript(worker, script, {
      stdout: (piece) => this.#receive(piece),
      stderr: (piece) => {
        if (this.#complaints.length < wordsAtMost) this.#complaints += piece.toString();
      },
    });
    this.#talk.exitStatus.then(
      (status) => {
        this.#exitStatus = status;
        this.#finish();
      },
      (reason: Error) => this.#waits.breakAll(reason),
    );
  }

  send(line: string): void {
    if (!this.#isEnding) this.#talk.write(Buffer.from(`${line}\n`));
  }

  next(timeoutSeconds: number): Promise<string> {
    const late = () =>
      new UnreachableError(
        `The script on ${this.#hostName} was silent for ${timeoutSeconds} s. Look at the host, then run \`pulumi up\` again.`,
      );
    let ways: Ways<string> | undefined;
    return this.#waits
      .wait<string>(timeoutSeconds, late, (these) => {
        ways = these;
        this.#readers.push(these);
        this.#deliver();
      })
      .finally(() => remove(this.#readers, ways));
  }

  async end(timeoutSeconds = endSeconds): Promise<Finished> {
    const late = () =>
      new UnreachableError(`The script on ${this.#hostName} did not end within ${timeoutSeconds} s. It may still be running there.`);
    this.#isEnding = true;
    this.#talk.endInput();
    try {
      return await this.#waits.wait<Finished>(timeoutSeconds, late, (ways) => {
        this.#enders.push(ways);
        if (this.#excess || this.#isOver) this.#finish();
      });
    } catch (thrown) {
      this.abandon();
      throw thrown;
    }
  }

  abandon(): void {
    const left = new UnreachableError(`The script on ${this.#hostName} was left to itself. Run \`pulumi up\` again.`);
    this.#waits.breakAll(this.#excess ?? left);
    this.#talk.leave();
  }

  get #isOver(): boolean {
    return this.#exitStatus !== undefined;
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
    this.#excess = new UnreachableError(
      `The script on ${this.#hostName} said ${what}, which it never does by itself. Look at that host, then run \`pulumi up\` again.`,
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
    if (this.#excess || this.#isOver) for (const reader of this.#readers.splice(0)) reader.reject(this.#over());
  }

  #finish(): void {
    this.#deliver();
    if (this.#enders.length === 0) return;
    const stdout = [...this.#lines.splice(0), this.#partial].join("\n");
    for (const ender of this.#enders.splice(0)) {
      if (this.#excess || this.#exitStatus === undefined) ender.reject(this.#over());
      else ender.resolve({ exitStatus: this.#exitStatus, stdout, stderr: this.#complaints });
    }
  }

  #over(): Error {
    if (this.#excess) return this.#excess;
    const words = this.#complaints.trim() === "" ? "" : `: ${this.#complaints.trim().slice(0, 2000)}`;
    return new UnreachableError(`The script on ${this.#hostName} ended with status ${this.#exitStatus}${words}. Run \`pulumi up\` again.`);
  }
}

function remove<T>(list: T[], one: T | undefined): void {
  const index = one === undefined ? -1 : list.indexOf(one);
  if (index >= 0) list.splice(index, 1);
}
