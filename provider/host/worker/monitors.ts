/** QEMU's monitors, through the worker. */

import { z } from "zod";
import { changes, type RequestOptions, reads } from "./operation.js";
import type { MonitorMessage, Worker } from "./worker.js";

const peer = z.object({
  /** Who made the socket: QEMU, or libvirtd where it gave QEMU one that listens. */
  pid: z.int(),
  /** In ticks since the boot; null: the process is gone. */
  startTime: z.int().nullable(),
  /** Whether it is still the process that made it. */
  isAlive: z.boolean(),
});

export type MonitorPeer = z.output<typeof peer>;

const openReply = peer.extend({ monitor: z.int(), greeting: z.record(z.string(), z.unknown()) });
const event = z.object({ event: z.string(), data: z.record(z.string(), z.unknown()).default({}) });

export type MonitorEvent = z.output<typeof event>;

export interface MonitorListener {
  event(event: MonitorEvent): void;
  /** Once: the connection has ended, which does not say that QEMU has. */
  closed(peer: MonitorPeer): void;
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

  /** As QEMU said it. */
  get greeting(): Record<string, unknown> {
    return this.#opened.greeting;
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
    this.#worker.unlisten(this.#opened.monitor);
    await this.#worker.request(close, { monitor: this.#opened.monitor });
  }
}

/**
 * Connects and waits for the greeting.
 * @param path of the Unix socket, however long
 * @throws WorkerError `busy` if nobody greets within 2 s: another client has it, or QEMU is stopped; `system` with the errno
 */
export async function openMonitor(worker: Worker, path: string, listener: MonitorListener): Promise<WorkerMonitor> {
  const reply = await worker.request(open, { path, greetingSeconds: 2 });
  worker.listen(reply.monitor, (message) => heard(message, listener));
  return new WorkerMonitor(worker, reply);
}

function heard(message: MonitorMessage, listener: MonitorListener): void {
  if ("event" in message) listener.event(event.parse(message.event));
  else listener.closed(peer.parse(message.closed));
}
