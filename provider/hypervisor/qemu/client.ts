/** One QMP session: commands to a monitor that the host's worker holds, and what they came to. */

import { z } from "zod";
import { BugError, OutcomeUnknownError, UnreachableError, UserError } from "../../core/errors.js";
import { endingIn, type MonitorEnding, openMonitor, refusalIn, type WorkerMonitor } from "../../host/worker/monitors.js";
import { recoverSwitch, runSwitch, type SwitchPlan, type SwitchResult } from "../../host/worker/switching.js";
import type { Worker } from "../../host/worker/worker.js";
import { isFailure } from "../../host/worker/worker-error.js";
import { MonitorBusy } from "../hypervisor.js";
import { QmpRefusal } from "./refusal.js";

export interface Patience {
  /** @default 2 */
  greetingSeconds?: number;
  /** @default 30 */
  answerSeconds?: number;
  /** Ends the waiting for the greeting. */
  stop?: AbortSignal;
}

/** Where a monitor is. */
export interface Address {
  worker: Worker;
  /** The socket's path. */
  socket: string;
  /** For messages: the socket and its host. */
  name: string;
}

export class QmpSession {
  readonly #listeners = new Set<() => void>();
  readonly #worker: Worker;
  readonly #name: string;
  readonly #answerSeconds: number;
  #monitor: WorkerMonitor | undefined;
  #reason: Error | undefined;
  #unheed = () => {};

  /**
   * @throws UserError if it is no QMP monitor
   * @throws MonitorBusy if it does not greet
   * @throws UnreachableError if the connection ends
   * @throws WorkerError `system` with the errno if it cannot be connected to
   * @host QMP qmp_capabilities
   * @for monitor
   * @does begins a session of the monitor
   * @changes nothing; nobody else can use the monitor meanwhile
   * @as QEMU, as the user that it runs as
   * @why QEMU takes no command before
   */
  static async open(
    { worker, socket, name }: Address,
    { greetingSeconds = 2, answerSeconds = 30, stop }: Patience = {},
  ): Promise<QmpSession> {
    const session = new QmpSession(worker, name, answerSeconds);
    const listener = { event: () => session.#wake(), closed: (ending: MonitorEnding) => session.#lose(whyEnded(ending)) };
    try {
      session.#monitor = await openMonitor(worker, { path: socket, greetingSeconds, signal: stop }, listener);
    } catch (cause) {
      throw noSession(cause, name, greetingSeconds);
    }
    session.#unheed = worker.onEnd(() => {
      if (worker.ended) session.#end(worker.ended);
    });
    return session;
  }

  private constructor(worker: Worker, name: string, answerSeconds: number) {
    this.#worker = worker;
    this.#name = name;
    this.#answerSeconds = answerSeconds;
  }

  /** Whether the session still carries commands. */
  get usable(): boolean {
    return this.#reason === undefined;
  }

  /**
   * Sends one command and checks the shape of its answer. Several that are sent before one is answered may reach QEMU in any order.
   * @throws QmpRefusal if QEMU says no
   * @throws OutcomeUnknownError if no answer came to a command that may have changed something, UnreachableError to a question
   */
  async call<S extends z.ZodType>(command: string, shape: S, args: object = {}): Promise<z.output<S>> {
    const checked = checkedBy(shape, await this.#send(command, args));
    if (checked.success) return checked.data;
    const problem = checked.error instanceof z.ZodError ? z.prettifyError(checked.error).replaceAll("\n", " ") : "it nests too deep";
    throw new BugError(`Unable to read what ${this.#name} answers to ${command}: ${problem}.`, { cause: checked.error });
  }

  /**
   * From jobs that are ready to the end, by the worker alone. It survives the end of this session.
   * @throws OutcomeUnknownError, or WorkerError `timed-out`, if no answer came: the worker carries it through all the same
   * @host QMP job-complete, QMP job-finalize, QMP job-cancel, QMP query-jobs, QMP query-block, QMP query-named-block-nodes, QMP x-debug-query-block-graph, QMP qmp_capabilities
   * @for switching
   * @does ends the mirrors of all disks together, or cancels them all, and looks which image each disk has then; said by a child of the
   *   worker, which connects once more where its connection breaks
   * @changes which image takes the guest's writes
   * @as QEMU, as the user that it runs as
   * @why between the first command and the last, names and manifests are written, also where the client is gone
   */
  async switch(plan: SwitchPlan): Promise<SwitchResult> {
    const monitor = this.#monitor;
    if (this.#reason || !monitor) throw this.#unanswered("switch", {}, this.#reason);
    return runSwitch(this.#worker, { monitor, plan, locks: [] });
  }

  /**
   * What is left of a switch that was cut, by the worker, which connects to the monitor itself: this session is over.
   * @throws as {@link switch}
   * @host QMP job-complete, QMP job-finalize, QMP job-cancel, QMP query-jobs, QMP query-block, QMP query-named-block-nodes, QMP x-debug-query-block-graph, QMP qmp_capabilities
   * @for switching
   * @does the same, for a switch that was cut: finishes it where it was decided, cancels it where not
   * @changes which image takes the guest's writes
   * @as QEMU, as the user that it runs as
   * @why the guest's I/O waits for it
   */
  async recover(plan: SwitchPlan): Promise<SwitchResult> {
    const monitor = this.#monitor;
    if (this.#reason || !monitor) throw this.#unanswered("recover", {}, this.#reason);
    const { peer } = monitor;
    await monitor.close();
    this.close();
    return recoverSwitch(this.#worker, { peer, plan, locks: [] });
  }

  /** Calls `listener` on every event and when the session ends; answers how to stop that. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#lose("we closed the connection.");
  }

  async #send(command: string, args: object): Promise<unknown> {
    const monitor = this.#monitor;
    if (this.#reason || !monitor) throw this.#unanswered(command, args, this.#reason);
    const options = { deadlineSeconds: this.#answerSeconds };
    try {
      return await (isQuestion(command) ? monitor.query(command, args, options) : monitor.execute(command, args, options));
    } catch (cause) {
      const refusal = refusalIn(cause);
      if (refusal) throw new QmpRefusal(command, refusal.class, refusal.words, { monitor: this.#name, arguments: JSON.stringify(args) });
      const ending = endingIn(cause);
      if (ending) this.#lose(whyEnded(ending), cause);
      else if (isFailure(cause, "timed-out")) this.#lose(`no answer to ${command} came within ${this.#answerSeconds} s.`, cause);
      throw this.#unanswered(command, args, this.#reason ?? cause);
    }
  }

  #wake(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #lose(what: string, cause?: unknown): void {
    this.#end(new UnreachableError(`Unable to talk to ${this.#name}: ${what} Run \`pulumi up\` again.`, { cause }));
  }

  /** Ends the session, once. What still waits for an answer learns it from the worker. */
  #end(reason: Error): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#unheed();
    this.#monitor?.close().catch(() => {}); // it has ended, or its worker has
    this.#wake();
  }

  #unanswered(command: string, args: object, cause: unknown): Error {
    const Kind = isQuestion(command) ? UnreachableError : OutcomeUnknownError;
    const why = cause instanceof Error ? cause.message : "The session has ended.";
    return new Kind(`Unable to tell what ${command} ${JSON.stringify(args)} came to: no answer. ${why}`, { cause });
  }
}

/** Whether QEMU changes nothing on this command, so that no answer leaves nothing behind. */
function isQuestion(command: string): boolean {
  return /^(query-|qom-get$|x-debug-query-)/.test(command);
}

/** A chain is read layer within layer, and one without end would exhaust the stack. */
function checkedBy<S extends z.ZodType>(shape: S, reply: unknown) {
  try {
    return shape.safeParse(reply);
  } catch (error) {
    return { success: false, error } as const;
  }
}

function whyEnded({ why, said }: MonitorEnding): string {
  if (why === "ended") return "the monitor's end closed the connection.";
  if (why === "too-large") return "it sent a message of more than 64 MiB, which no monitor does.";
  return `it sent what no QMP monitor sends: ${JSON.stringify(said)}.`;
}

function noSession(cause: unknown, name: string, seconds: number): unknown {
  const ending = endingIn(cause);
  if (ending) return new UnreachableError(`Unable to talk to ${name}: ${whyEnded(ending)} Run \`pulumi up\` again.`, { cause });
  if (isFailure(cause, "busy") || isFailure(cause, "cancelled")) {
    return new MonitorBusy(
      `Unable to talk to ${name}: no greeting came within ${seconds} s. A monitor serves one client, so another one may hold it, ` +
        "perhaps the dead session of a runner that vanished. Find it on the host with `ss -xp | grep <socket>` and end it, or wait until it is done.",
      { cause },
    );
  }
  if (!isFailure(cause, "no-monitor")) return cause;
  const advice = "Name the socket that QEMU was given with -qmp, or with -mon mode=control.";
  return new UserError(
    `Unable to talk to ${name}: this is no QMP monitor, it greets with ${JSON.stringify(cause.details.said)}. ${advice}`,
    {
      cause,
    },
  );
}
