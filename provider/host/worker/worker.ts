/** One worker on one host: requests by id, side by side. */

import type { Duplex } from "node:stream";
import { BugError, messageOf, OutcomeUnknownError, UnreachableError } from "../../core/errors.js";
import { type Operation, type RequestOptions, understood } from "./operation.js";
import { graceSeconds, PendingRequest } from "./pending.js";
import { type Hello, type LaterLine, laterLine, parsed } from "./replies.js";
import { WorkerError } from "./worker-error.js";

/** Where the program runs. */
export interface WorkerStream {
  /** For messages. */
  readonly hostName: string;
  /** Its input and output. */
  readonly stream: Duplex;
  /** What it said besides, for messages. */
  stderr(): string;
}

/** What a monitor says by itself. */
export type MonitorMessage = Extract<LaterLine, { monitor: number }>;

/** @see startWorker, openWorker */
export class Worker {
  readonly #pending = new Map<number, PendingRequest>();
  readonly #listeners = new Map<number, (message: MonitorMessage) => void>();
  /** What monitors said that nobody listens to yet. */
  readonly #unheard = new Map<number, MonitorMessage[]>();
  readonly #words: NodeJS.Timeout;
  readonly #enders: (() => void)[] = [];
  #last = 0;
  #reason: Error | undefined;

  readonly #channel: WorkerStream;

  constructor(
    channel: WorkerStream,
    readonly hello: Hello,
    wordSeconds: number,
  ) {
    this.#channel = channel;

    this.#words = setInterval(() => this.#send({ word: 1 }), wordSeconds * 1000);
    this.#words.unref();
  }

  /** Why it has ended, or undefined while it runs. */
  get ended(): Error | undefined {
    return this.#reason;
  }

  /**
   * One request.
   * @throws WorkerError if the operation fails, is cancelled or takes too long
   * @throws UnreachableError if no answer came to an operation that only reads
   * @throws OutcomeUnknownError if no answer came to one that changes something
   */
  async request<A, R>(operation: Operation<A, R>, args: A, options: RequestOptions = {}): Promise<R> {
    if (this.#reason) throw this.#reason;
    const id = ++this.#last;
    const result = await new Promise<unknown>((resolve, reject) => {
      const cancel = () => this.#send({ cancel: id });
      const pending = new PendingRequest(operation, options, { resolve, reject, cancel, late: () => this.#giveUp(id) });
      this.#pending.set(id, pending);
      this.#send({ id, op: operation.name, args, deadlineSeconds: pending.deadlineSeconds });
      if (options.signal?.aborted) cancel();
    });
    return understood(operation, result);
  }

  /** What this monitor says from now on, and what it has said since it was opened. */
  listen(monitor: number, listener: (message: MonitorMessage) => void): void {
    this.#listeners.set(monitor, listener);
    for (const message of this.#unheard.get(monitor) ?? []) this.#tellListener(listener, message);
    this.#unheard.delete(monitor);
  }

  unlisten(monitor: number): void {
    this.#listeners.set(monitor, () => {});
  }

  /**
   * Ends it: it cancels what runs, waits for what changes something, gives its locks back, and then this resolves.
   * @throws UnreachableError if it is still there after that time; its locks may be held then
   */
  async close(waitSeconds = 30): Promise<void> {
    if (this.#reason) return;
    const { stream, hostName } = this.#channel;
    stream.end();
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => {
        this.#end(
          new UnreachableError(`The worker on ${hostName} did not end within ${waitSeconds} s: a change of it may still go on there.`),
        );
        if (this.#reason) reject(this.#reason);
      }, waitSeconds * 1000);
      this.#enders.push(() => {
        clearTimeout(late);
        resolve();
      });
    });
  }

  /** One line of the program's. */
  take(text: string): void {
    const line = laterLine.safeParse(parsed(text));
    if (!line.success) this.#end(new BugError(`The worker on ${this.#channel.hostName} said what no worker says.`));
    else if ("fault" in line.data) this.#end(new BugError(`The worker did not understand its client: ${line.data.fault}.`));
    else if ("monitor" in line.data) this.#tell(line.data);
    else this.#answer(line.data);
  }

  /** Its output is over. */
  over(why: "ended" | "too-long"): void {
    const said = this.#channel.stderr().trim();
    const words = why === "ended" ? `ended${said === "" ? "" : `: ${said.slice(-2000)}`}` : "said a line of more than 16 MiB";
    this.#end(new UnreachableError(`The worker on ${this.#channel.hostName} ${words}. Run \`pulumi up\` again.`));
  }

  #answer(message: Extract<LaterLine, { id: number }>): void {
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return; // it comes behind our deadline
    if ("event" in message) {
      this.#progress(message.id, pending, message.event);
      return;
    }
    this.#pending.delete(message.id);
    if ("error" in message) pending.reject(new WorkerError(pending.operation.name, message.error));
    else pending.resolve(message.result);
  }

  /** What its listener throws ends the request, and not the process. */
  #progress(id: number, pending: PendingRequest, event: unknown): void {
    try {
      pending.event(event);
    } catch (thrown) {
      this.#pending.delete(id);
      this.#send({ cancel: id });
      pending.reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  }

  #tell(message: MonitorMessage): void {
    const listener = this.#listeners.get(message.monitor);
    if (listener) this.#tellListener(listener, message);
    else this.#unheard.set(message.monitor, [...(this.#unheard.get(message.monitor) ?? []), message]);
    if ("closed" in message) this.#listeners.delete(message.monitor);
  }

  #tellListener(listener: (message: MonitorMessage) => void, message: MonitorMessage): void {
    try {
      listener(message);
    } catch (cause) {
      this.#end(new BugError(`What a monitor said was not understood: ${messageOf(cause)}.`, { cause }));
    }
  }

  /** A worker that runs would have answered by itself. Its session ends, and so its locks do as soon as it can be reached. */
  #giveUp(id: number): void {
    const seconds = (this.#pending.get(id)?.deadlineSeconds ?? 0) + graceSeconds;
    this.#end(new UnreachableError(`The worker on ${this.#channel.hostName} said nothing for ${seconds} s. Run \`pulumi up\` again.`));
  }

  #noAnswer({ operation }: PendingRequest, why: string): Error {
    const sentence = `No answer to ${operation.name} from ${this.#channel.hostName}: ${why} Look at that host, then run \`pulumi up\` again.`;
    return operation.changes ? new OutcomeUnknownError(sentence) : new UnreachableError(sentence);
  }

  #end(reason: Error): void {
    if (this.#reason) return;
    this.#reason = reason;
    clearInterval(this.#words);
    this.#channel.stream.destroy();
    const left = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of left) pending.reject(this.#noAnswer(pending, reason.message));
    for (const ended of this.#enders.splice(0)) ended();
  }

  #send(message: object): void {
    // To write behind the end would destroy the stream, and what is still to be read with it.
    if (this.#channel.stream.writable) this.#channel.stream.write(`${JSON.stringify(message)}\n`);
  }
}
