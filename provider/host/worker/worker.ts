/** One worker on one host: requests by id, side by side. */

import type { Duplex } from "node:stream";
import { BugError, messageOf, OutcomeUnknownError, UnreachableError } from "../../core/errors.js";
import { MonitorListeners } from "./monitor-listeners.js";
import { type Habit, Naps } from "./naps.js";
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
  /** Why the connection that carries it broke, if that is why the stream has ended. */
  broken?(): Error | undefined;
}

/** @see startWorker, openWorker */
export class Worker {
  readonly #pending = new Map<number, PendingRequest>();
  readonly monitors = new MonitorListeners((cause) =>
    this.#end(new BugError(`What a monitor said was not understood: ${messageOf(cause)}.`, { cause })),
  );
  readonly #words: NodeJS.Timeout;
  readonly #naps: Naps;
  readonly #enders = new Set<() => void>();
  /** Monitors and locks that it has for us: as long as there is one, it is not ended for being idle. */
  readonly held = new Set<object>();
  #last = 0;
  #reason: Error | undefined;

  readonly #channel: WorkerStream;

  constructor(
    channel: WorkerStream,
    readonly hello: Hello,
    habit: Habit,
  ) {
    this.#channel = channel;
    this.#naps = new Naps(habit);
    this.#words = setInterval(() => this.#speak(), habit.wordSeconds * 1000);
    this.#words.unref();
  }

  /** For messages: where it runs. */
  get hostName(): string {
    return this.#channel.hostName;
  }

  /** Whether it has nothing to do, and holds no monitor and no lock. */
  get isIdle(): boolean {
    return this.#pending.size === 0 && this.held.size === 0;
  }

  /** Calls back once, when it has ended for whatever reason; answers how to stop that. */
  onEnd(listener: () => void): () => void {
    if (this.#reason) listener();
    else this.#enders.add(listener);
    return () => void this.#enders.delete(listener);
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
      options.onBegun?.((piece) => this.#give(id, piece));
    });
    return understood(operation, result);
  }

  #give(id: number, piece: Buffer | undefined): void {
    if (this.#pending.has(id)) this.#send({ to: id, input: piece?.toString("base64") ?? null });
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
        const reason = new UnreachableError(
          `The worker on ${hostName} did not end within ${waitSeconds} s: a change of it may still go on there.`,
        );
        reject(reason);
        this.#end(reason);
      }, waitSeconds * 1000);
      this.onEnd(() => {
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
    else if ("monitor" in line.data) this.monitors.tell(line.data);
    else this.#answer(line.data);
  }

  /** Its output is over. */
  over(why: "ended" | "too-long"): void {
    const said = this.#channel.stderr().trim();
    const words = why === "ended" ? `ended${said === "" ? "" : `: ${said.slice(-2000)}`}` : "said a line of more than 16 MiB";
    this.#end(this.#channel.broken?.() ?? this.#lost(words));
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

  /** A worker that runs would have answered by itself. Its session ends, and so its locks do as soon as it can be reached. */
  #giveUp(id: number): void {
    const seconds = (this.#pending.get(id)?.deadlineSeconds ?? 0) + graceSeconds;
    this.#end(new UnreachableError(`The worker on ${this.#channel.hostName} said nothing for ${seconds} s. Run \`pulumi up\` again.`));
  }

  /** @param words what it did, unless it was this process that stood still for longer than a worker waits */
  #lost(words: string): UnreachableError {
    const asleep = this.#naps.seconds;
    const what =
      asleep === undefined
        ? `${words}.`
        : `ended, and its locks with it, while this run was asleep for ${Math.round(asleep)} s: another run may have been at work there.`;
    return new UnreachableError(`The worker on ${this.#channel.hostName} ${what} Run \`pulumi up\` again.`);
  }

  #speak(): void {
    this.#naps.spoke();
    this.#send({ word: 1 });
  }

  #noAnswer({ operation }: PendingRequest, cause: Error): Error {
    if (!operation.changes) return cause;
    return new OutcomeUnknownError(
      `Unable to tell what ${operation.name} on ${this.#channel.hostName} came to: no answer. ${cause.message}`,
      { cause },
    );
  }

  #end(reason: Error): void {
    if (this.#reason) return;
    this.#reason = reason;
    clearInterval(this.#words);
    this.#channel.stream.destroy();
    const left = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of left) pending.reject(this.#noAnswer(pending, reason));
    for (const ended of this.#enders) ended();
    this.#enders.clear();
  }

  #send(message: object): void {
    // To write behind the end would destroy the stream, and what is still to be read with it.
    if (this.#channel.stream.writable) this.#channel.stream.write(`${JSON.stringify(message)}\n`);
  }
}
