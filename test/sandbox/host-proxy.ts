/**
 * Stands between sshd and every shell that it starts, and can act at a chosen command: sshd is told by ForceCommand to run
 * host-proxy-session.ts, which asks here about each command that it reads, and about the answer of those that are withheld.
 */

import net from "node:net";
import path from "node:path";
import readline from "node:readline";
import { type MadeFolder, makeFolder } from "./folders.js";
import type { Gate } from "./gate.js";
import { type HostCommand, passingOf } from "./host-command.js";

/** What a session asks, one JSON line each; it is answered by one word. */
export type Question = { ask: "before" | "answered"; command: HostCommand };

export class HostProxy implements AsyncDisposable {
  readonly #sessions = new Set<net.Socket>();
  readonly #server: net.Server;

  private constructor(
    private readonly folder: MadeFolder,
    private readonly gate: Gate,
  ) {
    this.#server = net.createServer((session) => this.#serve(session));
  }

  static async listen(gate: Gate): Promise<HostProxy> {
    // its path stands in an sshd_config: no space in it
    const proxy = new HostProxy(await makeFolder("livedisk-host-proxy-"), gate);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject);
      proxy.#server.listen(proxy.#socket, resolve);
    });
    return proxy;
  }

  /** For the sshd whose sessions shall come by here. */
  get sshdSettings(): { ForceCommand: string } {
    const session = path.join(__dirname, "host-proxy-session.js");
    return { ForceCommand: `exec ${process.execPath} ${session} ${this.#socket}` };
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.folder.remove();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #socket(): string {
    return path.join(this.folder.path, "proxy.sock");
  }

  #serve(session: net.Socket): void {
    this.#sessions.add(session);
    session.on("error", () => undefined).on("close", () => this.#sessions.delete(session));
    readline
      .createInterface({ input: session })
      .on("line", (line) => void this.#answer(session, JSON.parse(line) as Question))
      .on("error", () => undefined);
  }

  async #answer(session: net.Socket, { ask, command }: Question): Promise<void> {
    const passing = passingOf(command);
    const word = ask === "before" ? await this.gate.before(passing) : await this.gate.answered(passing);
    if (!session.destroyed) session.write(`${word}\n`);
  }
}
