/** One QMP session: a stream to a monitor, commands out, replies matched by id. */

import type { Duplex } from "node:stream";
import { z } from "zod";
import { BugError, messageOf, OutcomeUnknownError, UnreachableError, UserError } from "../../core/errors.js";
import { MessageCutter } from "./framing.js";
import { isQuestion, type Message, readMessage, writeCommand } from "./messages.js";
import { QmpRefusal } from "./refusal.js";
import { done } from "./replies.js";

interface Waiting {
  command: string;
  /** As sent, for messages. */
  args: string;
  resolve(reply: unknown): void;
  reject(reason: Error): void;
  deadline: NodeJS.Timeout;
}

/** Connected, but not greeted. */
export class MonitorBusy extends UnreachableError {}

export interface Patience {
  /** @default 2 */
  greetingSeconds?: number;
  /** @default 30 */
  answerSeconds?: number;
}

export class QmpSession {
  readonly #cutter = new MessageCutter();
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<() => void>();
  readonly #greeted = Promise.withResolvers<void>();
  #phase: "before the greeting" | "open" | "broken" = "before the greeting";
  #reason: Error | undefined;
  #nextId = 1;
  #outbox = "";

  /**
   * @param monitor for messages: the socket and its host
   * @throws UserError if it is no QMP monitor
   * @throws MonitorBusy if it does not greet
   * @throws UnreachableError if the stream ends
   *
   * @host QMP qmp_capabilities
   * @for monitor
   * @does begins a session
   * @changes nothing
   * @as QEMU, as the user that it runs as
   * @why QEMU answers no other command before it
   */
  static async open(stream: Duplex, monitor: string, patience: Patience = {}): Promise<QmpSession> {
    const session = new QmpSession(stream, monitor, patience.answerSeconds ?? 30);
    const seconds = patience.greetingSeconds ?? 2;
    const busy = setTimeout(() => session.#end(new MonitorBusy(noGreeting(monitor, seconds))), seconds * 1000);
    try {
      await session.#greeted.promise;
    } finally {
      clearTimeout(busy);
    }
    await session.call("qmp_capabilities", done);
    return session;
  }

  readonly #stream: Duplex;
  readonly #monitor: string;
  readonly #answerSeconds: number;

  private constructor(stream: Duplex, monitor: string, answerSeconds: number) {
    this.#stream = stream;
    this.#monitor = monitor;
    this.#answerSeconds = answerSeconds;

    stream.on("data", (chunk: Buffer) => this.#receive(chunk));
    stream.on("error", (cause) => this.#lose(`the connection broke: ${cause.message.replace(/\.$/, "")}.`, cause));
    stream.on("end", () => this.#lose("the monitor's end closed the connection."));
    stream.on("close", () => this.#lose("the connection was closed."));
  }

  /** Whether the session still carries commands. */
  get usable(): boolean {
    return this.#phase === "open";
  }

  /**
   * Sends one command and checks the shape of its answer. Commands called in one turn go out in one write.
   * @throws QmpRefusal if QEMU says no
   * @throws OutcomeUnknownError if no answer came to a command that may have changed something, UnreachableError to a question
   */
  async call<S extends z.ZodType>(command: string, shape: S, args: object = {}): Promise<z.output<S>> {
    const reply = await this.#send(command, JSON.stringify(args));
    const checked = checkedBy(shape, reply);
    if (checked.success) return checked.data;
    const problem = checked.error instanceof z.ZodError ? z.prettifyError(checked.error).replaceAll("\n", " ") : "it nests too deep";
    throw new BugError(`Unable to read what ${this.#monitor} answers to ${command}: ${problem}.`, { cause: checked.error });
  }

  /** Calls `listener` on every event and when the session ends; answers how to stop that. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#lose("we closed the connection.");
  }

  #send(command: string, args: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#reason) return reject(this.#unanswered(command, args, this.#reason));
      const late = `no answer to ${command} came within ${this.#answerSeconds} s.`;
      const deadline = setTimeout(() => this.#lose(late), this.#answerSeconds * 1000);
      const id = this.#nextId++;
      this.#waiting.set(id, { command, args, resolve, reject, deadline });
      if (this.#outbox === "") queueMicrotask(() => this.#flush());
      this.#outbox += writeCommand(command, args, id);
    });
  }

  #flush(): void {
    const outbox = this.#outbox;
    this.#outbox = "";
    if (this.usable) this.#stream.write(outbox);
  }

  #receive(chunk: Buffer): void {
    try {
      for (const text of this.#cutter.push(chunk)) this.#take(readMessage(text));
    } catch (cause) {
      this.#lose(messageOf(cause), cause);
    }
  }

  #take(message: Message): void {
    if (this.#phase === "broken") return;
    if (this.#phase === "before the greeting") this.#greet(message);
    else if (message.says === "answer") this.#waitingFor(message.id)?.resolve(message.reply);
    else if (message.says === "refusal") this.#refuse(this.#waitingFor(message.id), message);
    else if (message.says === "event") this.#wake();
    else throw new Error(`it sent what no QMP monitor sends: ${"start" in message ? message.start : "a second greeting"}.`);
  }

  #greet(message: Message): void {
    if (message.says === "greeting") {
      this.#phase = "open";
      this.#greeted.resolve();
      return;
    }
    const start = "start" in message ? message.start : `a QMP ${message.says}`;
    const advice = "Name the socket that QEMU was given with -qmp, or with -mon mode=control.";
    this.#end(new UserError(`Unable to talk to ${this.#monitor}: this is no QMP monitor, it greets with ${start}. ${advice}`));
  }

  #refuse(waiting: Waiting | undefined, refusal: { qmpClass: string; words: string }): void {
    if (!waiting) throw new Error(`it refused what we did not ask: "${refusal.words}".`);
    const sent = { monitor: this.#monitor, arguments: waiting.args };
    waiting.reject(new QmpRefusal(waiting.command, refusal.qmpClass, refusal.words, sent));
  }

  #waitingFor(id: number | undefined): Waiting | undefined {
    const waiting = this.#waiting.get(id ?? 0);
    this.#waiting.delete(id ?? 0);
    clearTimeout(waiting?.deadline);
    return waiting;
  }

  #wake(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #lose(what: string, cause?: unknown): void {
    this.#end(new UnreachableError(`Unable to talk to ${this.#monitor}: ${what} Run \`pulumi up\` again.`, { cause }));
  }

  /** Ends the session, once: everybody who waits learns why. */
  #end(reason: Error): void {
    if (this.#phase === "broken") return;
    this.#phase = "broken";
    this.#reason = reason;
    this.#greeted.reject(reason);
    this.#stream.destroy();
    for (const { command, args, reject, deadline } of this.#waiting.values()) {
      clearTimeout(deadline);
      reject(this.#unanswered(command, args, reason));
    }
    this.#waiting.clear();
    this.#wake();
  }

  #unanswered(command: string, args: string, cause: Error): Error {
    const Kind = isQuestion(command) ? UnreachableError : OutcomeUnknownError;
    return new Kind(`Unable to tell what ${command} ${args} came to: no answer. ${cause.message}`, { cause });
  }
}

/** A chain is read layer within layer, and one without end would exhaust the stack. */
function checkedBy<S extends z.ZodType>(shape: S, reply: unknown) {
  try {
    return shape.safeParse(reply);
  } catch (error) {
    return { success: false, error } as const;
  }
}

function noGreeting(monitor: string, seconds: number): string {
  return (
    `Unable to talk to ${monitor}: no greeting came within ${seconds} s. A monitor serves one client, so another one may hold it, ` +
    "perhaps the dead session of a runner that vanished. Find it on the host with `ss -xp | grep <socket>` and end it, or wait until it is done."
  );
}
