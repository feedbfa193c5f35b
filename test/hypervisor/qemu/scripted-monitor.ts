/** A monitor that answers as a test wants, for faults that a real QEMU does not make on demand. */

import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { type MadeFolder, makeFolder } from "../../sandbox/folders.js";

export interface Command {
  execute: string;
  arguments: Record<string, unknown>;
  /** Of the client's own making. */
  id: string;
}

/** What is sent for one command: an object becomes a line, text and bytes go out as they are; `undefined` is silence. */
export type Answer = object | string | Buffer | undefined;
export type Script = (command: Command, socket: Socket) => Answer | Promise<Answer>;

export const greeting = '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}\r\n';

/** What a guest without disks and jobs answers to the questions of a look. */
export const emptyGuest: Readonly<Record<string, unknown>> = {
  "query-status": { status: "running" },
  "query-uuid": { UUID: "5a9e7c6e-0000-4000-8000-000000000001" },
  "query-block": [],
  "query-named-block-nodes": [],
  "query-block-jobs": [],
};

export class ScriptedMonitor implements AsyncDisposable {
  /** Every command's name, in the order in which they came. */
  readonly heard: string[] = [];
  clients = 0;
  readonly #server = createServer((socket) => this.#serve(socket));
  readonly #sockets = new Set<Socket>();

  private constructor(
    private readonly folder: MadeFolder,
    private readonly script: Script,
    private readonly firstWords: string,
  ) {}

  /** `firstWords`: what a client is greeted with. */
  static async start(script: Script, firstWords: string = greeting): Promise<ScriptedMonitor> {
    const monitor = new ScriptedMonitor(await makeFolder("livedisk-qmp-"), script, firstWords);
    monitor.#server.listen(monitor.socket);
    await once(monitor.#server, "listening");
    return monitor;
  }

  get socket(): string {
    return path.join(this.folder.path, "qmp.sock");
  }

  #serve(socket: Socket): void {
    this.clients++;
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.write(this.firstWords);
    const lines = createInterface({ input: socket }).on("error", () => {}); // it tells its socket's errors too
    lines.on("line", async (line) => {
      const command: Command = JSON.parse(line);
      this.heard.push(command.execute);
      const answer = command.execute === "qmp_capabilities" ? { return: {} } : await this.script(command, socket);
      if (answer === undefined || socket.destroyed) return;
      const raw = typeof answer === "string" || Buffer.isBuffer(answer);
      socket.write(raw ? answer : `${JSON.stringify({ id: command.id, ...answer })}\r\n`);
    });
  }

  /** Ends the connection of its next client, or of the one that it has. */
  async hangUp(): Promise<void> {
    if (this.#sockets.size === 0) await once(this.#server, "connection");
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
    await this.folder.remove();
  }
}
