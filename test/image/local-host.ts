/** This machine as a host, without ssh: one shell for each question. For tests whose subject is not the connection. */

import { spawn } from "node:child_process";
import { createConnection } from "node:net";
import { createInterface } from "node:readline";
import { UnreachableError } from "../../provider/errors.js";
import type { Conversation, Finished, Host } from "../../provider/host/host.js";

class LocalConversation implements Conversation {
  private readonly lines: string[] = [];
  private stderr = "";
  private wake = () => {};
  private readonly ended: Promise<number>;
  private status: number | undefined;
  readonly child;

  constructor(script: string, args: readonly string[]) {
    this.child = spawn("sh", ["-c", script, "sh", ...args], { stdio: ["pipe", "pipe", "pipe"] });
    this.child.stdin.on("error", () => {});
    this.child.stderr.on("data", (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    createInterface({ input: this.child.stdout }).on("line", (line) => {
      this.lines.push(line);
      this.wake();
    });
    this.ended = new Promise((resolve) => {
      this.child.on("close", (status) => {
        this.status = status ?? 255;
        this.wake();
        resolve(this.status);
      });
    });
  }

  send(line: string): void {
    this.child.stdin.write(`${line}\n`);
  }

  async next(timeoutSeconds: number): Promise<string> {
    const deadline = performance.now() + timeoutSeconds * 1000;
    for (;;) {
      const line = this.lines.shift();
      if (line !== undefined) return line;
      if (this.status !== undefined) throw new UnreachableError(`The script ended with ${this.status}: ${this.stderr}`);
      const left = deadline - performance.now();
      if (left <= 0) throw new UnreachableError(`No line came in ${timeoutSeconds} s.`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async end(): Promise<Finished> {
    this.child.stdin.end();
    return { exitStatus: await this.ended, stdout: this.lines.join("\n"), stderr: this.stderr };
  }

  /** As a vanished ssh client: the pipes break, the script lives on until it notices. */
  abandon(): void {
    this.child.stdin.destroy();
    this.child.stdout.destroy();
  }
}

export function localHost(): Host {
  return {
    name: "here",
    run: async (script, args = [], options = {}) => {
      const conversation = new LocalConversation(script, args);
      conversation.child.stdin.write(options.stdin ?? "");
      const finished = await conversation.end();
      return finished;
    },
    open: async (script, args = []) => new LocalConversation(script, args),
    connectSocket: async (path) => createConnection(path),
  };
}
