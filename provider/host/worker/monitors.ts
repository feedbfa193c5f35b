/** QEMU's monitors, through the worker. */

import { z } from "zod";
import { changes, type RequestOptions, reads } from "./operation.js";
import type { Worker } from "./worker.js";
import { isFailure } from "./worker-error.js";

const peer = z.object({
  /** Who made the socket: QEMU, or libvirtd where it gave QEMU one that listens. */
  pid: z.int(),
  /** In ticks since the boot; null: the process is gone. */
  startTime: z.int().nullable(),
  /** Whether it is still the process that made it. */
  isAlive: z.boolean(),
});

export type MonitorPeer = z.output<typeof peer>;

const ending = peer.extend({
  /** `ended`: its other end closed it. */
  why: z.enum(["ended", "too-large", "not-json"]),
  /** The beginning of what is no JSON. */
  said: z.string(),
});

/** How a monitor's connection ended. */
export type MonitorEnding = z.output<typeof ending>;

const refused = z.object({ class: z.string(), words: z.string() });

/** What QEMU said no with, or undefined if this is another error. */
export function refusalIn(thrown: unknown): z.output<typeof refused> | undefined {
  return isFailure(thrown, "qmp") ? refused.parse(thrown.details) : undefined;
}

/** How the connection ended that a command was waiting on, or undefined if this is another error. */
export function endingIn(thrown: unknown): MonitorEnding | undefined {
  return isFailure(thrown, "monitor-closed") ? ending.parse(thrown.details) : undefined;
}

const openReply = peer.extend({ monitor: z.int() });
const event = z.object({ event: z.string(), data: z.record(z.string(), z.unknown()).default({}) });

export type MonitorEvent = z.output<typeof event>;

export interface MonitorListener {
  event(event: MonitorEvent): void;
  /** Once: the connection has ended, which does not say that QEMU has. */
  closed(ending: MonitorEnding): void;
}

const open = reads<{ path: string; greetingSeconds: number }, z.output<typeof openReply>>("monitor-open", openReply);
const executed = z.object({ returned: z.unknown() });

interface CommandArguments {
  monitor: number;
  command: string;
  arguments: object;
}

/** One operation of the program's. A command that changes something leaves the outcome unknown where no answer comes. */
const execute = changes<CommandArguments, z.output<typeof executed>>("monitor-execute", executed);
const query = reads<CommandArguments, z.output<typeof executed>>("monitor-execute", executed);
const close = reads<{ monitor: number }, object>("monitor-close", z.object({}));

/** One guest's monitor, held by the worker until it is closed. */
export class WorkerMonitor {
  readonly #worker: Worker;
  readonly #opened: z.output<typeof openReply>;

  constructor(worker: Worker, opened: z.output<typeof openReply>) {
    this.#worker = worker;
    this.#opened = opened;
  }

  get number(): number {
    return this.#opened.monitor;
  }

  get peer(): MonitorPeer {
    const { pid, startTime, isAlive } = this.#opened;
    return { pid, startTime, isAlive };
  }

  /**
   * One command. It may be carried out although this fails with `cancelled` or `timed-out`.
   * @returns what QEMU returns, not yet checked
   * @throws WorkerError `qmp` if QEMU refuses, with its class in `details`; `monitor-closed` with the {@link MonitorPeer} in `details`
   */
  async execute(command: string, args: object = {}, options: RequestOptions = {}): Promise<unknown> {
    return (await this.#worker.request(execute, { monitor: this.#opened.monitor, command, arguments: args }, options)).returned;
  }

  /** A command that only asks. @throws WorkerError as {@link execute} */
  async query(command: string, args: object = {}, options: RequestOptions = {}): Promise<unknown> {
    return (await this.#worker.request(query, { monitor: this.#opened.monitor, command, arguments: args }, options)).returned;
  }

  /** Ends the connection; nothing is sent to QEMU any more when this returns. */
  async close(): Promise<void> {
    this.#worker.held.delete(this);
    this.#worker.monitors.remove(this.#opened.monitor);
    await this.#worker.request(close, { monitor: this.#opened.monitor });
  }
}

export interface MonitorAt {
  /** Of the Unix socket, however long. */
  path: string;
  /** @default 2 */
  greetingSeconds?: number;
  /** Ends the waiting for the greeting, with `cancelled`. */
  signal?: AbortSignal | undefined;
}

/**
 * Connects and waits for the greeting.
 * @throws WorkerError `busy` if nobody greets in time: another client has it, or QEMU is stopped; `no-monitor` with the beginning of what it
 *   said in `details.said`; `system` with the errno
 */
export async function openMonitor(worker: Worker, at: MonitorAt, listener: MonitorListener): Promise<WorkerMonitor> {
  const { path, greetingSeconds = 2, signal } = at;
  const reply = await worker.request(open, { path, greetingSeconds }, { deadlineSeconds: greetingSeconds + 30, ...(signal && { signal }) });
  const monitor = new WorkerMonitor(worker, reply);
  worker.held.add(monitor);
  worker.monitors.add(reply.monitor, (message) => {
    if ("event" in message) return listener.event(event.parse(message.event));
    worker.held.delete(monitor);
    listener.closed(ending.parse(message.closed));
  });
  return monitor;
}
