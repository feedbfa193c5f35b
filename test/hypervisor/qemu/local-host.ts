/** This machine as a {@link Host}: a shell a command, a worker without SSH. What only SSH can do wrong is tested elsewhere. */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { Socket } from "node:net";
import { createInterface } from "node:readline";
import { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { UnreachableError } from "../../../provider/core/errors.js";
import type { World } from "../../../provider/core/world.js";
import type { Conversation, Finished, Host, RunOptions } from "../../../provider/host/host.js";
import { OneWorker } from "../../../provider/host/one-worker.js";
import { startScript, workerProgram } from "../../../provider/host/worker/program.js";
import { startWorker } from "../../../provider/host/worker/start.js";
import type { Worker } from "../../../provider/host/worker/worker.js";
import { thisWorld } from "../../world.js";

export class LocalHost implements Host {
  readonly name = "here";
  world: World = thisWorld;
  stateDirectory = "/nowhere/livedisk-state";
  /** How many commands were run. */
  readonly opened = { commands: 0 };
  private readonly one = new OneWorker(() => localWorkerAs(this.as));

  /** `nobody`: commands run as a user who may see little. Needs root. */
  constructor(
    private readonly as: "myself" | "nobody" = "myself",
    private readonly environment: NodeJS.ProcessEnv = process.env,
  ) {}

  async run(script: string, args: readonly string[] = [], options: RunOptions = {}): Promise<Finished> {
    this.opened.commands++;
    const user = identity(this.as);
    const shell = spawn("sh", ["-c", script, "sh", ...args], { env: this.environment, stdio: ["pipe", "pipe", "pipe"], ...user });
    shell.stdin.on("error", () => {}); // a script that reads nothing may have ended already
    shell.stdin.end(options.stdin ?? "");
    const [stdout, stderr, [exitStatus]] = await Promise.all([text(shell.stdout), text(shell.stderr), once(shell, "close")]);
    return { exitStatus: Number(exitStatus), stdout, stderr };
  }

  async open(script: string, args: readonly string[] = []): Promise<Conversation> {
    return new LocalConversation(script, args, this.environment);
  }

  worker(): Promise<Worker> {
    return this.one.now();
  }

  withOneWorker<T>(work: (worker: Worker) => Promise<T>): Promise<T> {
    return this.one.during(work);
  }
}

/** They end with the process of the tests. */
const workers = new Map<"myself" | "nobody", Promise<Worker>>();

/** The one of all hosts that are this machine. */
export function localWorkerAs(as: "myself" | "nobody"): Promise<Worker> {
  const worker = workers.get(as) ?? startLocally(as);
  workers.set(as, worker);
  return worker;
}

function startLocally(as: "myself" | "nobody"): Promise<Worker> {
  const child = spawn("sh", ["-c", startScript, "sh", workerProgram().boot], { stdio: "pipe", cwd: "/", ...identity(as) });
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) if (stream instanceof Socket) stream.unref();
  child.stderr.resume();
  const stream = Duplex.from({ writable: child.stdin, readable: child.stdout });
  // a test that works for long without a pause, as a compiler does, says no word meanwhile
  return startWorker({ hostName: "here", stream, stderr: () => "" }, { silenceSeconds: 600 });
}

function identity(as: "myself" | "nobody"): { uid?: number; gid?: number } {
  return as === "nobody" && process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
}

/** A script of this machine that is spoken to line by line. */
export class LocalConversation implements Conversation {
  private readonly shell: ChildProcessWithoutNullStreams;
  private readonly lines: string[] = [];
  private readonly ended: Promise<Finished>;
  private changed = Promise.withResolvers<void>();
  private isOver = false;

  constructor(script: string, args: readonly string[], environment: NodeJS.ProcessEnv = process.env) {
    this.shell = spawn("sh", ["-c", script, "sh", ...args], { env: environment, stdio: "pipe" });
    this.shell.stdin.on("error", () => {}); // it may have ended already
    createInterface({ input: this.shell.stdout })
      .on("line", (line) => {
        this.lines.push(line);
        this.tell();
      })
      .on("close", () => {
        this.isOver = true;
        this.tell();
      });
    this.ended = Promise.all([text(this.shell.stderr), once(this.shell, "exit")]).then(([stderr, [exitStatus]]) => {
      return { exitStatus: Number(exitStatus), stdout: this.lines.splice(0).join("\n"), stderr };
    });
  }

  get pid(): number {
    return this.shell.pid ?? 0;
  }

  send(line: string): void {
    if (this.shell.stdin.writable) this.shell.stdin.write(`${line}\n`);
  }

  async next(timeoutSeconds: number): Promise<string> {
    const end = performance.now() + 1000 * timeoutSeconds;
    for (;;) {
      const line = this.lines.shift();
      if (line !== undefined) return line;
      if (this.isOver) throw new UnreachableError("The script on here ended.");
      if (performance.now() > end) throw new UnreachableError(`The script on here was silent for ${timeoutSeconds} s.`);
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, end - performance.now());
      await Promise.race([this.changed.promise, late]);
      clearTimeout(timer);
    }
  }

  end(): Promise<Finished> {
    this.shell.stdin.end();
    return this.ended;
  }

  /** Its input ends, and nobody reads what it says. */
  abandon(): void {
    this.shell.stdin.destroy();
    this.shell.stdout.resume();
  }

  private tell(): void {
    const { resolve } = this.changed;
    this.changed = Promise.withResolvers();
    resolve();
  }
}
