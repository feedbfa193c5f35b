/** Commands that the provider sends to the worker on a host: how a session's input is cut into them, and what each is called. */

import type { Passing } from "./gate.js";

/**
 * `start`: the first line of a session, which becomes its program, or a script that is talked to. `run`: one script. `line`: what is said
 * to a script that runs. `operation`: another operation of the worker's.
 */
export interface HostCommand {
  form: "start" | "run" | "line" | "operation";
  /** The script, with its arguments in the line before it; the line; the operation's name. */
  text: string;
}

/** A command with the bytes that carry it, and what its answer is told by; none: there may be no answer. */
export interface CutCommand extends HostCommand {
  bytes: Buffer;
  answer?: RegExp;
}

/** What is no command: the worker's program, its client's words, and what goes to monitors, before which the other proxy stands. */
export interface Passed {
  form: "passed";
  bytes: Buffer;
}

/** What a client says to the worker (decisions/0008). */
interface Said {
  id?: number;
  op?: string;
  args?: { script?: string; args?: readonly string[] };
  to?: number;
  input?: string | null;
}

/** Cuts a session's input, as it comes in pieces: the program's first line, its text, then what its client says, a line each. */
export class CommandCutter {
  #rest: Buffer = Buffer.alloc(0);
  #next: () => CutCommand | Passed | undefined = () => this.#start();

  push(piece: Buffer): (CutCommand | Passed)[] {
    this.#rest = Buffer.concat([this.#rest, piece]);
    const commands: (CutCommand | Passed)[] = [];
    for (let next = this.#next(); next !== undefined; next = this.#next()) commands.push(next);
    return commands;
  }

  /** provider/host/quoting.ts makes it. */
  #start(): CutCommand | undefined {
    const bytes = this.#line();
    if (bytes === undefined) return undefined;
    const [, token = "", encoded = ""] = /^printf '%s\\n' ([0-9a-f]+);.*\$\(printf %s (\S+) \| base64 -d\)/.exec(bytes.toString()) ?? [];
    const script = Buffer.from(encoded, "base64").toString();
    this.#next = () => this.#program();
    return { form: "start", text: script.slice(script.indexOf("\n") + 1), bytes, answer: new RegExp(`${token}\\n`) };
  }

  /** Its length in eight digits, then so many bytes (provider/host/worker/program.ts). */
  #program(): Passed | undefined {
    const length = 8 + Number(this.#rest.toString("latin1", 0, 8));
    if (this.#rest.length < Math.max(8, length)) return undefined;
    this.#next = () => this.#said();
    return { form: "passed", bytes: this.#take(length) };
  }

  #said(): CutCommand | Passed | undefined {
    const bytes = this.#line();
    if (bytes === undefined) return undefined;
    const said = JSON.parse(bytes.toString()) as Said;
    if (typeof said.input === "string") return { form: "line", text: Buffer.from(said.input, "base64").toString().trim(), bytes };
    if (said.op === undefined || said.op.startsWith("monitor-")) return { form: "passed", bytes };
    return { ...commandOf(said), bytes };
  }

  #line(): Buffer | undefined {
    const end = this.#rest.indexOf("\n");
    return end < 0 ? undefined : this.#take(end + 1);
  }

  #take(length: number): Buffer {
    const bytes = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return bytes;
  }
}

function commandOf({ id, op = "", args }: Said): HostCommand & Pick<CutCommand, "answer"> {
  const text = `${JSON.stringify(args?.args)}\n${args?.script}`;
  if (op === "script-talk") return { form: "start", text, answer: new RegExp(`"id":${id}[,}]`) };
  const answer = new RegExp(`"id":${id}\\}\n`);
  return op === "script-run" ? { form: "run", text, answer } : { form: "operation", text: op, answer };
}

/** What scripts hold that change something on the host. */
const changing =
  /\b(mv|rm|ln|mktemp|touch|chmod|chown|cp|truncate|mkdir|setfattr)\b|qemu-img (create|rebase|amend)|(^|[^0-9&])>>?[^&/ ]|>"\$|\bdd\b.*\bof=/m;

/** Operations of the worker that change something on the host. */
const changingOperation =
  /^(file|link)-(write|move|remove|copy|attributes-copy|make)|^directory-(make|remove)|^lock-(write|release)|^program-|^switch-/;

/** Lines that only ask, or only say that we are still there. */
const asking = /^(still|look|map|partial|probe)\b/;

export function passingOf({ form, text }: HostCommand): Passing {
  if (form === "operation") return { road: "host", name: text, kind: changingOperation.test(text) ? "change" : "question" };
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
