/** A monitor between sshd and QEMU that can act at a chosen command: for faults that must hit one exact place. */

import { rm } from "node:fs/promises";
import net from "node:net";
import readline from "node:readline";

/** What becomes of the command: passed on, or never seen by QEMU, its client cut off. */
export type Verdict = "forward" | "cut";

export class QmpProxy implements AsyncDisposable {
  /** Every command that came by, in order. */
  readonly commands: string[] = [];
  readonly #clients = new Set<net.Socket>();
  readonly #hooks = new Map<string, () => Promise<Verdict> | Verdict>();
  readonly #server: net.Server;

  private constructor(
    readonly path: string,
    private readonly monitor: string,
  ) {
    this.#server = net.createServer((client) => this.#serve(client));
  }

  static async listen(path: string, monitor: string): Promise<QmpProxy> {
    const proxy = new QmpProxy(path, monitor);
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

  async close(): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.path, { force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #serve(client: net.Socket): void {
    const real = net.connect(this.monitor);
    this.#clients.add(client);
    const end = () => {
      this.#clients.delete(client);
      client.destroy();
      real.destroy();
    };
    for (const socket of [client, real]) {
      socket.on("error", end);
      socket.on("close", end);
    }
    real.pipe(client, { end: false });
    let before = Promise.resolve();
    // one after the other, so that an act that takes its time holds back what comes after it
    readline.createInterface({ input: client }).on("line", (line) => {
      before = before.then(() => this.#pass(line, real, end));
    });
  }

  async #pass(line: string, real: net.Socket, end: () => void): Promise<void> {
    const command = /"execute"\s*:\s*"([^"]+)"/.exec(line)?.[1];
    if (command !== undefined) this.commands.push(command);
    const hook = command === undefined ? undefined : this.#hooks.get(command);
    if (command !== undefined) this.#hooks.delete(command);
    if (hook !== undefined && (await hook()) === "cut") return end();
    if (!real.destroyed) real.write(`${line}\n`);
  }
}
