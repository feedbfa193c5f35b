/** One `virsh` that stays open on the host: lines of commands in, one reply for each out. */

import { messageOf, UnreachableError } from "../../core/errors.js";
import type { World } from "../../core/world.js";
import { lineCost } from "../../host/conversation.js";
import type { Conversation, Host } from "../../host/host.js";

/** What one command answered: its text, or libvirt's words of refusal. */
export type Reply = { text: string } | { refused: string };

/** libvirtd answers in milliseconds; a host whose storage hangs may keep it for long. */
const replySeconds = 120;

/** The XML of the largest domains is some hundred KiB. */
const replyAtMost = { mib: 16, characters: 16 * 1024 * 1024 };
const errorsKept = 20;

/**
 * virsh reads with readline, which echoes each line behind its prompt, also where nobody types; COLUMNS keeps that echo on one line.
 * LC_ALL: other than ASCII characters are keys in the C locale. Both outputs are one, so that words stand where they were said.
 *
 * @host virsh
 * @for libvirt
 * @does keeps one `virsh` open, to which commands are written; it ends five seconds after its last use
 * @changes nothing by itself
 * @as the account
 * @why a command costs a round trip and not a new connection to libvirtd
 */
const script = `
command -v virsh >/dev/null || { echo "error: there is no virsh here"; exit 127; }
LC_ALL=C.UTF-8 COLUMNS=65000 TERM=dumb INPUTRC=/dev/null
export LC_ALL COLUMNS TERM INPUTRC
unset LANGUAGE
exec virsh -q -c "$1" 2>&1`;

export class VirshSession {
  #last: Promise<unknown> = Promise.resolve();
  #isOver = false;

  readonly #conversation: Conversation;
  readonly #place: string;
  readonly #world: World;

  private constructor(conversation: Conversation, host: Host, uri: string) {
    this.#conversation = conversation;
    this.#place = `${uri} on ${host.name}`;
    this.#world = host.world;
  }

  static async open(host: Host, uri: string): Promise<VirshSession> {
    const session = new VirshSession(await host.open(script, [uri]), host, uri);
    try {
      await session.ask([]);
    } catch (cause) {
      session.close();
      throw cause;
    }
    return session;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Sends all commands in one write: one round trip.
   * @throws UnreachableError if virsh ends or does not answer
   */
  ask(commands: readonly string[]): Promise<Reply[]> {
    const replies = this.#last.then(() => this.#exchange(commands));
    this.#last = replies.catch(() => {});
    return replies;
  }

  close(): void {
    this.#isOver = true;
    this.#conversation.abandon();
  }

  /** After each command an `echo` of a token that no reply can know. An empty line ends the line of the echo, which has no end of its own. */
  async #exchange(commands: readonly string[]): Promise<Reply[]> {
    const token = this.#world.token(12);
    this.#conversation.send(["", ...commands].map((line) => `${line}\necho ${token}\n`).join("\n"));
    const heard: string[] = [];
    try {
      await this.#frame(token, heard); // what stood before
      const replies: Reply[] = [];
      for (const _ of commands) replies.push(verdict(await this.#frame(token, heard)));
      return replies;
    } catch (cause) {
      this.close();
      const said = heard.map((line) => line.slice("error: ".length));
      const why = said.length > 0 ? said.join("; ") : messageOf(cause);
      throw new UnreachableError(
        `Unable to ask libvirt at ${this.#place}: ${why}. Its state is unknown. Check libvirtd there, then run again.`,
        {
          cause,
        },
      );
    }
  }

  /** The lines up to the next token, without the echo of the command itself. `heard` gets the errors among them. */
  async #frame(token: string, heard: string[]): Promise<string[]> {
    const lines: string[] = [];
    let characters = 0;
    for (;;) {
      const line = await this.#conversation.next(replySeconds);
      if (line.startsWith("error: ") && heard.length < errorsKept) heard.push(line);
      characters += line.length + lineCost;
      if (characters > replyAtMost.characters) throw new UnreachableError(`virsh answered more than ${replyAtMost.mib} MiB`);
      const end = line.indexOf(`echo ${token}`);
      if (end >= 0) {
        const rest = line.slice(0, end).replace(/virsh [#>] $/, "");
        await this.#conversation.next(replySeconds); // the token itself
        return [...lines, ...(rest === "" ? [] : [rest])].filter((text, index) => index > 0 || !/^virsh [#>] /.test(text));
      }
      lines.push(line);
    }
  }
}

/**
 * The one place where virsh's words decide. A document is a success, whatever its lines say; of the other replies those are refusals
 * of which a line begins with "error: ", as vshError() and vshReportError() write it (tools/vsh.c, libvirt 9.0, C locale).
 */
function verdict(lines: readonly string[]): Reply {
  const first = lines.find((line) => line.trim() !== "");
  const errors = first?.startsWith("<") ? [] : lines.filter((line) => line.startsWith("error: "));
  if (errors.length === 0) return { text: lines.join("\n") };
  return { refused: errors.map((line) => line.slice("error: ".length).trim()).join("; ") };
}
