/** Commands to the script that works on a layer, and its answers: one line, or lines up to a dot. */

import { BugError } from "../../core/errors.js";
import { lineCost } from "../../host/conversation.js";
import type { Conversation } from "../../host/host.js";
import { type FileSeen, parseFile } from "./file-seen.js";

/** The map of an image with a million extents takes less than a fifth of it. */
const answerAtMost = { mib: 512, characters: 512 * 1024 * 1024 };

/** A command of the host failed; `words` is what it printed. */
export class CommandFailed extends Error {
  constructor(readonly words: string) {
    super(words);
    this.name = "CommandFailed";
  }
}

export class LayerConversation {
  #unanswered = 0;
  readonly #conversation: Conversation;
  readonly #destination: string;
  readonly #stallSeconds: number;

  /** @param options so many seconds without an answer end the work */
  constructor(conversation: Conversation, options: { destination: string; stallSeconds: number }) {
    this.#conversation = conversation;
    this.#destination = options.destination;
    this.#stallSeconds = options.stallSeconds;
  }

  send(line: string): void {
    this.#conversation.send(line);
  }

  async end(): Promise<void> {
    await this.#conversation.end(this.#stallSeconds);
  }

  abandon(): void {
    this.#conversation.abandon();
  }

  async expectFile(line: string): Promise<FileSeen | undefined> {
    return parseFile(await this.askUnfailing(line));
  }

  /** @throws CommandFailed with what the command printed */
  async askUnfailing(line: string): Promise<string> {
    const answer = await this.ask(line);
    if (answer.startsWith("failed ")) throw new CommandFailed(answer.slice("failed ".length).trim());
    return answer;
  }

  async expect(line: string): Promise<void> {
    const answer = await this.askUnfailing(line);
    if (answer !== "ok") throw new BugError(`The copy of ${this.#destination} heard "${answer}" to "${line.slice(0, 80)}".`);
  }

  async askForLines(line: string): Promise<string[]> {
    const lines: string[] = [];
    let characters = 0;
    for (let answer = await this.ask(line); answer !== "."; answer = await this.#conversation.next(this.#stallSeconds)) {
      if (answer.startsWith("failed ")) throw new CommandFailed(answer.slice("failed ".length).trim());
      characters += answer.length + lineCost;
      if (characters > answerAtMost.characters) throw new CommandFailed(`the host answered more than ${answerAtMost.mib} MiB to ${line}`);
      lines.push(answer);
    }
    return lines;
  }

  async ask(line: string): Promise<string> {
    this.#conversation.send(line);
    // what is asked before the answer to something else has that one's time too
    const answer = this.#conversation.next(++this.#unanswered * this.#stallSeconds);
    return answer.finally(() => this.#unanswered--);
  }
}
