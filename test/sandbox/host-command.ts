/** Commands that the provider sends to a shell on the host: how its input is cut into them, and what each is called. */

import type { Passing } from "./gate.js";

/**
 * `start`: the first line of a session, which becomes its script. `run`: one command of the shell that stays open.
 * `line`: one line to another script that runs.
 */
export interface HostCommand {
  form: "start" | "run" | "line";
  /** The script, with its arguments before it; or the line. */
  text: string;
}

/** A command with the bytes that carry it, and what its answer looks like; none: there may be no answer. */
export interface CutCommand extends HostCommand {
  bytes: Buffer;
  answer?: RegExp;
}

/** Cuts a session's input, as it comes in pieces, into commands (provider/host/quoting.ts and shell.ts make them). */
export class CommandCutter {
  #rest: Buffer = Buffer.alloc(0);
  #script: "not yet" | "shell" | "layer" | "other" = "not yet";

  push(piece: Buffer): CutCommand[] {
    this.#rest = Buffer.concat([this.#rest, piece]);
    const commands: CutCommand[] = [];
    for (let next = this.#next(); next !== undefined; next = this.#next()) commands.push(next);
    return commands;
  }

  #next(): CutCommand | undefined {
    if (this.#script === "not yet") return this.#start();
    return this.#script === "shell" ? this.#run() : this.#line();
  }

  #start(): CutCommand | undefined {
    const bytes = this.#take(/\n/);
    if (bytes === undefined) return undefined;
    const [, token = "", encoded = ""] = /^printf '%s\\n' ([0-9a-f]+);.*\$\(printf %s (\S+) \| base64 -d\)/.exec(bytes.toString()) ?? [];
    const script = Buffer.from(encoded, "base64").toString();
    this.#script = /\nexec sh\s*$/.test(script) ? "shell" : script.includes("write_record()") ? "layer" : "other";
    return { form: "start", text: script.slice(script.indexOf("\n") + 1), bytes, answer: new RegExp(`${token}\\n`) };
  }

  #run(): CutCommand | undefined {
    const bytes = this.#take(/; printf '\\n%s %s\\n' ([0-9a-f]{32}) \$\?; printf '\\n%s\\n' \1 >&2\n/);
    if (bytes === undefined) return undefined;
    const text = bytes.toString();
    const token = /; printf '\\n%s %s\\n' ([0-9a-f]{32})/.exec(text)?.[1] ?? "";
    const quoted = /\neval ('.*')\n\)[^\n]*; printf '\\n%s %s\\n' [0-9a-f]{32} \$\?;[^\n]*\n$/s.exec(text)?.[1] ?? "";
    return { form: "run", text: unquoted(quoted), bytes, answer: new RegExp(`\\n${token} \\d+\\n`) };
  }

  #line(): CutCommand | undefined {
    // a layer's record is sent with all its lines, up to a dot (provider/storage/directory/layer-shell.ts)
    const isRecord = this.#script === "layer" && this.#rest.toString("latin1", 0, 7) === "record\n";
    const bytes = this.#take(isRecord ? /\n\.\n/ : /\n/);
    return bytes && { form: "line", text: bytes.toString().trimEnd(), bytes };
  }

  #take(end: RegExp): Buffer | undefined {
    const text = this.#rest.toString("latin1");
    const found = end.exec(text);
    if (found === null) return undefined;
    const cut = found.index + found[0].length;
    const bytes = this.#rest.subarray(0, cut);
    this.#rest = this.#rest.subarray(cut);
    return bytes;
  }
}

/** The word that quote() in provider/host/quoting.ts made. */
function unquoted(word: string): string {
  return word.slice(1, -1).replaceAll(`'\\''`, "'");
}

/** What scripts hold that change something on the host. A lock's heartbeat (`touch -c`) comes at any time, as questions do. */
const changing =
  /\b(mv|rm|ln|mktemp|touch(?! -c)|chmod|chown|cp|truncate|mkdir|setfattr)\b|qemu-img (create|rebase|amend)|(^|[^0-9&])>>?[^&/ ]|>"\$|\bdd\b.*\bof=/m;

/** Lines that only ask, or only say that we are still there. */
const asking = /^(still|look|map|partial|probe)\b/;

export function passingOf({ form, text }: HostCommand): Passing {
  if (form === "line") return { road: "host", name: lineName(text), kind: asking.test(text) ? "question" : "change" };
  const script = text.split("\n").slice(1); // the arguments stand in the first line
  const kind = changing.test(script.join("\n")) ? "change" : "question";
  return { road: "host", name: `${form} ${scriptName(script)}`, kind };
}

/** The first line that is more than a comment or a word. */
function scriptName(script: readonly string[]): string {
  const line = script.find((one) => /\w+.*\W/.test(one) && !one.startsWith("#")) ?? "";
  return line.slice(0, 48).trim();
}

/** Its verb; numbers and names differ from run to run. */
function lineName(line: string): string {
  return /^\S*/.exec(line)?.[0] ?? "";
}
