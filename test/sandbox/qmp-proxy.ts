/** A monitor between sshd and QEMU that can act at a chosen command: for faults that must hit one exact place. */

import { rm } from "node:fs/promises";
import net from "node:net";
import readline from "node:readline";
import { type Gate, openGate, type Passing, type Verdict } from "./gate.js";

export type { Verdict } from "./gate.js";

export class QmpProxy implements AsyncDisposable {
  /** Every command that came by, in order. */
  readonly commands: string[] = [];
  readonly #clients = new Set<Client>();
  readonly #hooks = new Map<string, () => Promise<Verdict> | Verdict>();
  readonly #server: net.Server;

  private constructor(
    readonly path: string,
    monitor: string,
    private readonly gate: Gate,
  ) {
    this.#server = net.createServer((socket) => {
      const client = new Client(socket, net.connect(monitor), (command) => this.#before(command), gate);
      this.#clients.add(client);
      socket.once("close", () => this.#clients.delete(client));
    });
  }

  static async listen(path: string, monitor: string, gate: Gate = openGate): Promise<QmpProxy> {
    const proxy = new QmpProxy(path, monitor, gate);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject);
      proxy.#server.listen(path, resolve);
    });
    return proxy;
  }

  /** Once, the next time that the command comes by, before QEMU sees it. */
  before(command: string, act: () => Promise<Verdict> | Verdict): void {
    this.#hooks.set(command, act);
  }

  /** Ends the connection of everybody who talks to the monitor through us. */
  cutAll(): void {
    for (const client of this.#clients) client.end();
  }

  async close(): Promise<void> {
    this.cutAll();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.path, { force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #before(command: Passing): Verdict | Promise<Verdict> {
    this.commands.push(command.name);
    const hook = this.#hooks.get(command.name);
    this.#hooks.delete(command.name);
    return hook === undefined ? this.gate.before(command) : hook();
  }
}

/** One connection to the proxy, and its own to the monitor. */
class Client {
  /** One after the other, so that an act that takes its time holds back what comes after it. */
  #inward: Promise<void> = Promise.resolve();
  #outward: Promise<void> = Promise.resolve();
  readonly #special = new Map<unknown, { command: Passing; verdict: "withhold" | "garble" }>();

  constructor(
    private readonly socket: net.Socket,
    private readonly monitor: net.Socket,
    private readonly before: (command: Passing) => Verdict | Promise<Verdict>,
    private readonly gate: Gate,
  ) {
    for (const one of [socket, monitor]) {
      one.on("error", () => this.end());
      one.on("close", () => this.end());
    }
    linesOf(socket, (line) => {
      this.#inward = this.#inward.then(() => this.#pass(line));
    });
    linesOf(monitor, (line) => {
      this.#outward = this.#outward.then(() => this.#return(line));
    });
  }

  end(): void {
    this.socket.destroy();
    this.monitor.destroy();
  }

  async #pass(line: string): Promise<void> {
    const name = /"execute"\s*:\s*"([^"]+)"/.exec(line)?.[1];
    if (name !== undefined) {
      const command: Passing = { road: "qmp", name, kind: isQuestion(name) ? "question" : "change" };
      const verdict = await this.before(command);
      if (verdict === "cut") return this.end();
      if (verdict === "drop") return;
      if (verdict !== "forward") this.#special.set(idIn(line), { command, verdict });
    }
    if (!this.monitor.destroyed) this.monitor.write(`${line}\n`);
  }

  async #return(line: string): Promise<void> {
    const special = this.#special.size > 0 && !isEvent(line) ? this.#special.get(idIn(line)) : undefined;
    if (special !== undefined) {
      this.#special.delete(idIn(line));
      if (special.verdict === "withhold" && (await this.gate.answered(special.command)) === "drop") return;
    }
    if (!this.socket.destroyed) this.socket.write(special?.verdict === "garble" ? "} that is no answer {\n" : `${line}\n`);
  }
}

function isQuestion(command: string): boolean {
  return /^(x-debug-)?(query-|qom-get$|qom-list$)|^qmp_capabilities$/.test(command);
}

/** Not even the answer to a command that was sent without an id. */
function isEvent(line: string): boolean {
  return "event" in (JSON.parse(line) as object);
}

/** Of a command, and of its answer. */
function idIn(line: string): unknown {
  return (JSON.parse(line) as { id?: unknown }).id;
}

function linesOf(socket: net.Socket, take: (line: string) => void): void {
  // readline passes the socket's errors on as its own
  readline
    .createInterface({ input: socket })
    .on("line", take)
    .on("error", () => undefined);
}
