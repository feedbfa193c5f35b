/** This machine as a {@link Host}: a shell a command, plain connections to sockets. What only SSH can do wrong is tested elsewhere. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createConnection } from "node:net";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import type { Conversation, Finished, Host, RunOptions } from "../../../provider/host/host.js";

export class LocalHost implements Host {
  readonly name = "here";
  /** How many streams were opened, and how many commands were run. */
  readonly opened = { streams: 0, commands: 0 };

  /** `nobody`: commands run as a user who may see little. Needs root. */
  constructor(private readonly as: "myself" | "nobody" = "myself") {}

  async run(script: string, args: readonly string[] = [], options: RunOptions = {}): Promise<Finished> {
    this.opened.commands++;
    const user = this.as === "nobody" && process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
    const shell = spawn("sh", ["-c", script, "sh", ...args], { stdio: ["pipe", "pipe", "pipe"], ...user });
    shell.stdin.on("error", () => {}); // a script that reads nothing may have ended already
    shell.stdin.end(options.stdin ?? "");
    const [stdout, stderr, [exitStatus]] = await Promise.all([text(shell.stdout), text(shell.stderr), once(shell, "close")]);
    return { exitStatus: Number(exitStatus), stdout, stderr };
  }

  open(): Promise<Conversation> {
    return Promise.reject(new Error("no conversations here"));
  }

  async connectSocket(path: string): Promise<Duplex> {
    this.opened.streams++;
    const socket = createConnection({ path });
    await once(socket, "connect");
    return socket;
  }
}
