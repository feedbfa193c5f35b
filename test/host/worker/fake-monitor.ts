/** A monitor of no QEMU: what it is sent, and what it answers, is the test's. */

import { createServer, type Server, type Socket } from "node:net";
import path from "node:path";
import { scratch, undoLater } from "./harness.js";

export interface Command {
  execute: string;
  arguments: Record<string, unknown>;
  id: string;
}

type Say = (message: object) => void;

export class FakeMonitor {
  readonly commands: Command[] = [];
  readonly clients: Socket[] = [];
  /** Said to a new client between the greeting and the answer to qmp_capabilities. */
  readonly early: object[] = [];

  constructor(
    readonly path: string,
    private readonly server: Server,
  ) {}

  say(message: object): void {
    for (const client of this.clients) client.write(`${JSON.stringify(message)}\n`);
  }

  /** Ends the connections, and lets new ones come. */
  hangUp(): void {
    for (const client of this.clients.splice(0)) client.destroy();
  }

  stop(): void {
    this.hangUp();
    this.server.close();
  }
}

/** @param answer says what it will to each command after the greeting; default: an empty object */
export async function fakeMonitor(answer: (command: Command, say: Say) => void = answerNothing, folder?: string): Promise<FakeMonitor> {
  const file = path.join(folder ?? (await scratch()), "qmp.sock");
  const server = createServer((client) => {
    let partial = "";
    monitor.clients.push(client);
    client.on("error", () => {});
    const say: Say = (message) => void client.write(`${JSON.stringify(message)}\r\n`);
    say({ QMP: { version: { qemu: { major: 9, minor: 0, micro: 0 } }, capabilities: [] } });
    client.on("data", (piece) => {
      const lines = (partial + piece.toString()).split("\n");
      partial = lines.pop() ?? "";
      for (const line of lines) hear(JSON.parse(line), say);
    });
  });
  const monitor = new FakeMonitor(file, server);
  const hear = (command: Command, say: Say) => {
    if (command.execute === "qmp_capabilities") {
      for (const message of monitor.early) say(message);
      return say({ return: {}, id: command.id });
    }
    monitor.commands.push(command);
    answer(command, say);
  };
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(file, resolve));
  undoLater(() => monitor.stop());
  return monitor;
}

function answerNothing({ id }: Command, say: Say): void {
  say({ return: {}, id });
}
