/** A shell on the host that holds the lock of one layer and does what it is told, one small thing at a time. */

import type { FileIdentity } from "../../core/disk/chain.js";
import { BugError, UserError } from "../../core/errors.js";
import { lineCost } from "../../host/conversation.js";
import type { Conversation, Host } from "../../host/host.js";
import { type Extent, parseExtent, type Step } from "./extents.js";
import { formatRecord, type LayerRecord, parseRecord } from "./layer-record.js";
import { LAYER_SCRIPT } from "./layer-script.js";

/** What lies under a name, links not followed. */
export interface FileSeen extends FileIdentity {
  allocatedBytes: number;
  kind: "file" | "other";
}

/** One look at everything that belongs to a layer. */
export interface LayerSeen {
  record: LayerRecord | "empty" | "foreign";
  layer: FileSeen | undefined;
  source: FileSeen | undefined;
}

/** The map of an image with a million extents takes less than a fifth of it. */
const answerAtMost = { mib: 512, characters: 512 * 1024 * 1024 };

/** A command of the host failed; `words` is what it printed. */
export class CommandFailed extends Error {
  constructor(readonly words: string) {
    super(words);
    this.name = "CommandFailed";
  }
}

export interface LayerShellOptions {
  destination: string;
  source?: string;
  rewriteBacking?: { name: string; format: string };
  /** So long without an answer ends the work. */
  stallSeconds: number;
}

/** The sidecar's lock is held as long as this is open, and by any command that outlives it. */
export class LayerShell {
  private unanswered = 0;

  private constructor(
    private readonly conversation: Conversation,
    private readonly options: LayerShellOptions,
  ) {}

  /**
   * `make` makes a missing sidecar first; `expect` answers `absent` then.
   * @returns `busy` when somebody else holds the lock right now
   * @throws UserError for a sidecar that is not a regular file, or that cannot be made
   */
  static async lock(host: Host, options: LayerShellOptions, missing: "make" | "expect"): Promise<LayerShell | "busy" | "absent"> {
    const { destination, source = "", rewriteBacking } = options;
    const { name = "", format = "" } = rewriteBacking ?? {};
    const conversation = await host.open(LAYER_SCRIPT, [destination, source, name, format]);
    const shell = new LayerShell(conversation, options);
    try {
      const answer = await shell.ask(`lock ${missing}`);
      if (answer === "locked") return shell;
      if (answer === "busy" || answer === "absent") {
        await shell.close();
        return answer;
      }
      const why = answer === "foreign" ? "it is not a regular file; move it away" : answer.replace(/^failed /, "");
      throw new UserError(`Unable to lock ${destination}.lm-layer on ${host.name}: ${why}. Then run \`pulumi up\` again.`);
    } catch (thrown) {
      conversation.abandon();
      throw thrown;
    }
  }

  /** Lets the lock go, after a command that is still running. */
  async close(): Promise<void> {
    await this.conversation.end(this.options.stallSeconds);
  }

  abandon(): void {
    this.conversation.abandon();
  }

  async look(): Promise<LayerSeen> {
    const lines = await this.askForLines("look");
    const named = (word: string) => {
      const line = lines.find((each) => each.startsWith(`${word} `));
      if (line === undefined) throw new CommandFailed(`it does not tell of its ${word}`);
      return line.slice(word.length + 1);
    };
    const text = lines.filter((line) => line.startsWith("| ")).map((line) => line.slice(2));
    return {
      record: parseRecord(text),
      layer: parseFile(named("layer")),
      source: parseFile(named("source")),
    };
  }

  /** What can still be written beside the layer, by an ordinary user. */
  async freeBytes(): Promise<number> {
    const answer = await this.ask("free");
    const [, blocks, blockBytes] = /^(\d+) (\d+)$/.exec(answer) ?? [];
    if (blocks === undefined || blockBytes === undefined) throw new CommandFailed(`its free space cannot be read: ${answer}`);
    return Number(blocks) * Number(blockBytes);
  }

  /** Replaces the sidecar atomically and has it safely on the storage. */
  async write(record: LayerRecord): Promise<void> {
    for (const line of ["record", ...formatRecord(record)]) this.conversation.send(line);
    await this.expect(".");
  }

  /** Names the partial that the other commands work on, and says what lies there. */
  async usePartial(suffix: string): Promise<FileSeen | undefined> {
    return parseFile(await this.ask(`partial ${suffix}`));
  }

  /** Makes the partial exclusively, mode 0600, all hole. */
  createPartial(sizeBytes: number): Promise<FileSeen | undefined> {
    return this.expectFile(`create ${sizeBytes}`);
  }

  /** Shares the source's blocks. @throws CommandFailed where the file system cannot */
  clone(): Promise<void> {
    return this.expect("clone");
  }

  /** The source's data, extents with less than `gapBytes` between them joined. */
  async mapSource(gapBytes: number): Promise<Extent[]> {
    const lines = await this.askForLines(`map ${gapBytes}`);
    return lines.map(parseExtent);
  }

  /** Finds out where direct I/O works; copying is buffered where it does not. */
  probeDirect(): Promise<void> {
    return this.expect("probe");
  }

  /** May be asked for while the one before runs; it begins after that. */
  copy({ pieces, blocks }: Step): Promise<void> {
    return this.expect(
      `copy ${blocks.readBytes} ${blocks.writeBytes} ${pieces.map(({ offset, length }) => `${offset} ${length}`).join(" ")}`,
    );
  }

  /** Makes all of the partial from `position` on a hole again. */
  cutOff(position: number, sizeBytes: number): Promise<void> {
    return this.expect(`cut-off ${position} ${sizeBytes}`);
  }

  syncPartial(): Promise<void> {
    return this.expect("sync");
  }

  /** Gives the partial its final size, backing name, owner, mode and attributes, and syncs it. */
  dress(sizeBytes: number): Promise<void> {
    return this.expect(`dress ${sizeBytes}`);
  }

  /** Gives the partial the layer's name, never over another file. @returns the layer */
  place(): Promise<FileSeen | undefined> {
    return this.expectFile("place");
  }

  /** Removes the partial if it is this inode. */
  discardPartial(ino: string): Promise<void> {
    return this.expect(`discard ${ino}`);
  }

  /** Removes the layer if it is this inode. */
  removeLayer(ino: string): Promise<void> {
    return this.expect(`remove ${ino}`);
  }

  /** Removes the sidecar; what was removed before it is then gone for good. */
  async forget(): Promise<void> {
    await this.expect("settle");
    await this.expect("forget");
    await this.expect("settle");
  }

  private async expectFile(line: string): Promise<FileSeen | undefined> {
    return parseFile(await this.askUnfailing(line));
  }

  private async askUnfailing(line: string): Promise<string> {
    const answer = await this.ask(line);
    if (answer.startsWith("failed ")) throw new CommandFailed(answer.slice("failed ".length).trim());
    return answer;
  }

  private async expect(line: string): Promise<void> {
    const answer = await this.askUnfailing(line);
    if (answer !== "ok") throw new BugError(`The copy of ${this.options.destination} heard "${answer}" to "${line.slice(0, 80)}".`);
  }

  private async askForLines(line: string): Promise<string[]> {
    const lines: string[] = [];
    let characters = 0;
    for (let answer = await this.ask(line); answer !== "."; answer = await this.conversation.next(this.options.stallSeconds)) {
      if (answer.startsWith("failed ")) throw new CommandFailed(answer.slice("failed ".length).trim());
      characters += answer.length + lineCost;
      if (characters > answerAtMost.characters) throw new CommandFailed(`the host answered more than ${answerAtMost.mib} MiB to ${line}`);
      lines.push(answer);
    }
    return lines;
  }

  private async ask(line: string): Promise<string> {
    this.conversation.send(line);
    // what is asked before the answer to something else has that one's time too
    const answer = this.conversation.next(++this.unanswered * this.options.stallSeconds);
    return answer.finally(() => this.unanswered--);
  }
}

/** Reads `stat -c '%d %i %s %.9Y %b %F'`, or `none`. */
export function parseFile(line: string): FileSeen | undefined {
  const [dev, ino, size, modified, blocks, ...kind] = line.split(" ");
  if (dev === undefined || ino === undefined || size === undefined || modified === undefined || blocks === undefined) return undefined;
  return {
    dev,
    ino,
    sizeBytes: Number(size),
    modified,
    // stat counts in blocks of 512 bytes, whatever the file system's own are
    allocatedBytes: Number(blocks) * 512,
    kind: kind[0] === "regular" ? "file" : "other",
  };
}
