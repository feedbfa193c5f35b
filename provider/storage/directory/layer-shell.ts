/** A shell on the host that holds the lock of one layer and does what it is told, one small thing at a time. */

import { UserError } from "../../core/errors.js";
import type { Conversation, Host } from "../../host/host.js";
import { type Extent, parseExtent, type Step } from "./extents.js";
import { type FileSeen, parseFile } from "./file-seen.js";
import { CommandFailed, LayerConversation } from "./layer-conversation.js";
import { formatRecord, type LayerRecord, parseRecord } from "./layer-record.js";
import { layerScript } from "./layer-script.js";

/** One look at everything that belongs to a layer. */
export interface LayerSeen {
  record: LayerRecord | "empty" | "foreign";
  layer: FileSeen | undefined;
  source: FileSeen | undefined;
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
  readonly #commands: LayerConversation;

  private constructor(conversation: Conversation, options: LayerShellOptions) {
    this.#commands = new LayerConversation(conversation, options);
  }

  /**
   * `make` makes a missing sidecar first; `expect` answers `absent` then.
   * @returns `busy` when somebody else holds the lock right now
   * @throws UserError for a sidecar that is not a regular file, or that cannot be made
   */
  static async lock(host: Host, options: LayerShellOptions, missing: "make" | "expect"): Promise<LayerShell | "busy" | "absent"> {
    const { destination, source = "", rewriteBacking } = options;
    const { name = "", format = "" } = rewriteBacking ?? {};
    const conversation = await host.open(layerScript, [destination, source, name, format]);
    const shell = new LayerShell(conversation, options);
    try {
      const answer = await shell.#commands.ask(`lock ${missing}`);
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
    await this.#commands.end();
  }

  abandon(): void {
    this.#commands.abandon();
  }

  async look(): Promise<LayerSeen> {
    const lines = await this.#commands.askForLines("look");
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

  /** What can still be written beside the layer, by an ordinary user. @throws CommandFailed if the host cannot tell */
  async freeBytes(): Promise<number> {
    const answer = await this.#commands.askUnfailing("free");
    const [, blocks, blockBytes] = /^(\d+) (\d+)$/.exec(answer) ?? [];
    if (blocks === undefined || blockBytes === undefined) throw new CommandFailed(`its free space cannot be read: ${answer}`);
    return Number(blocks) * Number(blockBytes);
  }

  /** Replaces the sidecar atomically and has it safely on the storage. */
  async write(record: LayerRecord): Promise<void> {
    for (const line of ["record", ...formatRecord(record)]) this.#commands.send(line);
    await this.#commands.expect(".");
  }

  /** Names the partial that the other commands work on, and says what lies there. */
  usePartial(suffix: string): Promise<FileSeen | undefined> {
    return this.#commands.expectFile(`partial ${suffix}`);
  }

  /** Makes the partial exclusively, mode 0600, all hole. */
  createPartial(sizeBytes: number): Promise<FileSeen | undefined> {
    return this.#commands.expectFile(`create ${sizeBytes}`);
  }

  /** Shares the source's blocks. @throws CommandFailed where the file system cannot */
  clone(): Promise<void> {
    return this.#commands.expect("clone");
  }

  /** The source's data, extents with less than `gapBytes` between them joined. */
  async mapSource(gapBytes: number): Promise<Extent[]> {
    const lines = await this.#commands.askForLines(`map ${gapBytes}`);
    return lines.map(parseExtent);
  }

  /** Finds out where direct I/O works; copying is buffered where it does not. */
  probeDirect(): Promise<void> {
    return this.#commands.expect("probe");
  }

  /** May be asked for while the one before runs; it begins after that. */
  copy({ pieces, blocks }: Step): Promise<void> {
    return this.#commands.expect(
      `copy ${blocks.readBytes} ${blocks.writeBytes} ${pieces.map(({ offset, length }) => `${offset} ${length}`).join(" ")}`,
    );
  }

  /** Makes all of the partial from `position` on a hole again. */
  cutOff(position: number, sizeBytes: number): Promise<void> {
    return this.#commands.expect(`cut-off ${position} ${sizeBytes}`);
  }

  syncPartial(): Promise<void> {
    return this.#commands.expect("sync");
  }

  /** Gives the partial its final size, backing name, owner, mode and attributes, and syncs it. */
  dress(sizeBytes: number): Promise<void> {
    return this.#commands.expect(`dress ${sizeBytes}`);
  }

  /** Gives the partial the layer's name, never over another file. @returns the layer */
  place(): Promise<FileSeen | undefined> {
    return this.#commands.expectFile("place");
  }

  /** Removes the partial if it is this inode. */
  discardPartial(ino: string): Promise<void> {
    return this.#commands.expect(`discard ${ino}`);
  }

  /** Removes the layer if it is this inode. */
  removeLayer(ino: string): Promise<void> {
    return this.#commands.expect(`remove ${ino}`);
  }

  /** Removes the sidecar; what was removed before it is then gone for good. */
  async forget(): Promise<void> {
    await this.#commands.expect("settle");
    await this.#commands.expect("forget");
    await this.#commands.expect("settle");
  }
}
