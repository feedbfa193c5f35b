/** Somebody with a monitor of their own: asks a guest by another road than the provider, and does things behind its back. */

import net from "node:net";
import readline from "node:readline";
import { until } from "./command.js";

export interface Reply {
  return?: unknown;
  error?: { class: string; desc: string };
  event?: string;
  [more: string]: unknown;
}

interface Inserted {
  "node-name": string;
  image: { filename: string };
}

export class Operator implements AsyncDisposable {
  /** Everything that the monitor said on its own, oldest first. */
  readonly events: Reply[] = [];
  readonly #waiting: { resolve(reply: Reply): void; reject(reason: Error): void }[] = [];

  private constructor(
    private readonly socket: net.Socket,
    readonly path: string,
  ) {
    const lines = readline.createInterface({ input: socket });
    lines.on("line", (line) => this.#hear(JSON.parse(line) as Reply));
    // "close" follows and tells those who wait; readline passes the socket's errors on as its own
    for (const emitter of [socket, lines]) emitter.on("error", () => undefined);
    socket.on("close", () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(`The monitor ${path} closed the connection.`));
    });
  }

  /**
   * Waits for another client to leave, which QEMU may be closing still; 7.2 keeps one more connection waiting, and refuses the next (EAGAIN).
   * @throws Error if nobody listens there, or another client has the monitor (no greeting within the deadline)
   */
  static async connect(path: string, deadlineSeconds = 60): Promise<Operator> {
    const end = Date.now() + deadlineSeconds * 1000;
    for (;;) {
      const operator = new Operator(net.connect(path), path);
      const failure = await operator.#greeted(end - Date.now());
      if (failure === undefined) return operator;
      if (failure.code !== "EAGAIN" || Date.now() > end) {
        const why =
          failure.code === "ETIMEDOUT" ? `another client has it, or QEMU is busy for ${deadlineSeconds} s` : "nobody answers there";
        throw new Error(`Unable to connect to the monitor ${path}: ${why}.`, { cause: failure });
      }
      await new Promise((wake) => setTimeout(wake, 25));
    }
  }

  /** @returns why it has no greeting, if it has none */
  async #greeted(withinMs: number): Promise<NodeJS.ErrnoException | undefined> {
    let failure: NodeJS.ErrnoException | undefined;
    this.socket.once("error", (reason) => {
      failure = reason;
    });
    const late = setTimeout(() => {
      failure = Object.assign(new Error(`It did not greet within ${Math.round(withinMs / 1000)} s.`), { code: "ETIMEDOUT" });
      this.socket.destroy();
    }, withinMs);
    try {
      await this.#next();
      await this.execute("qmp_capabilities");
      return undefined;
    } catch (reason) {
      return failure ?? (reason as Error);
    } finally {
      clearTimeout(late);
    }
  }

  /** @throws Error with QEMU's words when it refuses */
  async execute(command: string, args: Record<string, unknown> = {}): Promise<unknown> {
    const reply = await this.ask(command, args);
    if (reply.error !== undefined) throw new Error(`${command}: ${reply.error.desc}`);
    return reply.return;
  }

  /** QEMU's answer, be it a refusal. */
  ask(command: string, args: Record<string, unknown> = {}): Promise<Reply> {
    const answer = this.#next();
    this.socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    return answer;
  }

  /** Polls until the job has this status. @throws Error when it failed or the deadline passed */
  async waitForJob(id: string, status: string, deadlineSeconds = 30): Promise<void> {
    let seen = "nothing";
    const poll = async () => {
      const jobs = (await this.execute("query-jobs")) as { id: string; status: string; error?: string }[];
      const job = jobs.find((candidate) => candidate.id === id);
      seen = JSON.stringify(job ?? jobs);
      if (job?.status === status) return true;
      if (job?.error !== undefined) throw new Error(`The job ${id} failed: ${job.error}`);
      return undefined;
    };
    await until(deadlineSeconds, poll, () => `The job ${id} was not ${status} within ${deadlineSeconds} s: ${seen}`);
  }

  /** The image file that a device writes to, as `query-block` names it; found inside the `json:` that explicit backing nodes lead to (7.2). */
  async activeImage(device: string): Promise<string> {
    return imageFile((await this.#inserted(device)).image.filename);
  }

  /** The node that a device writes to, a filter if there is one on top. */
  async activeNode(device: string): Promise<string> {
    return (await this.#inserted(device))["node-name"];
  }

  async #inserted(device: string): Promise<Inserted> {
    const blocks = (await this.execute("query-block")) as { device: string; qdev?: string; inserted?: Inserted }[];
    const block = blocks.find((one) => one.device === device || one.qdev === device || (one.qdev ?? "").includes(`/${device}/`));
    if (block?.inserted === undefined) throw new Error(`The guest has no image in ${device}: ${JSON.stringify(blocks)}`);
    return block.inserted;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.destroyed) return resolve();
      this.socket.once("close", () => resolve());
      this.socket.destroy();
    });
  }

  #next(): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.socket.destroyed) reject(new Error(`The monitor ${this.path} is closed.`));
      else this.#waiting.push({ resolve, reject });
    });
  }

  #hear(reply: Reply): void {
    if (reply.event !== undefined) this.events.push(reply);
    else this.#waiting.shift()?.resolve(reply);
  }
}

/** The path in a name of QEMU's for an image. */
export function imageFile(filename: string): string {
  return filename.startsWith("json:") ? fileIn(JSON.parse(filename.slice(5)) as Described) : filename;
}

interface Described {
  filename?: string;
  file?: Described;
}

/** Below a format, and below the filter of a job that may stand on it. */
function fileIn({ filename, file }: Described): string {
  return filename ?? (file === undefined ? "" : fileIn(file));
}
