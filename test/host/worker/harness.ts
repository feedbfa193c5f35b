/** Workers on this machine, without SSH: the real program, started as a session would start it. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdir, symlink } from "node:fs/promises";
import path from "node:path";
import { Duplex } from "node:stream";
import { inspect } from "node:util";
import { startScript, workerProgram } from "../../../provider/host/worker/program.js";
import { startWorker, type WorkerTimes } from "../../../provider/host/worker/start.js";
import type { Worker } from "../../../provider/host/worker/worker.js";
import { type FailureName, isFailure, type WorkerError } from "../../../provider/host/worker/worker-error.js";
import { until } from "../../sandbox/command.js";
import { makeFolder } from "../../sandbox/folders.js";
import { mourn, watchOver } from "../../sandbox/processes.js";

const undo: (() => unknown)[] = [];

/** Called after the test, the last one first. */
export function undoLater(act: () => unknown): void {
  undo.push(act);
}

/** Undoes what the tests of a describe block began. */
export function withWorkers(suite: Mocha.Suite): void {
  suite.timeout(30_000);
  suite.afterEach(undoAll);
}

export async function undoAll(): Promise<void> {
  for (let act = undo.pop(); act !== undefined; act = undo.pop()) await act();
}

export async function scratch(): Promise<string> {
  const folder = await makeFolder("livedisk-worker-");
  undoLater(folder.remove);
  return folder.path;
}

export interface LocalOptions extends WorkerTimes {
  /** A python of another version, by its absolute path. Default: the machine's own. */
  python?: string;
  /** Where it finds its programs. Default: the machine's own. */
  path?: string;
  /** A program with arguments that ends by running what follows them in its own place, as strace. */
  through?: readonly string[];
  /** Another user of the machine, by number; root starts it then. */
  uid?: number;
}

export interface LocalWorker {
  worker: Worker;
  child: ChildProcess;
}

/** With its process, for tests that stop or kill it. */
export async function localWorkerProcess(options: LocalOptions = {}): Promise<LocalWorker> {
  const { through = [], silenceSeconds } = options;
  const { boot } = workerProgram(silenceSeconds);
  const [program = "sh", ...words] = [...through, "sh", "-c", startScript, "sh", boot];
  const identity = options.uid === undefined ? {} : { uid: options.uid, gid: options.uid };
  const env = { PATH: options.path ?? (await searchPath(options.python)), LC_ALL: "C" };
  const child = watchOver(spawn(program, words, { stdio: "pipe", env, ...identity }), "a worker");
  undoLater(() => mourn(child, "SIGKILL"));
  const { stdin, stdout, stderr } = child;
  assert(stdin && stdout && stderr);
  let said = "";
  stderr.on("data", (piece: Buffer) => {
    said += piece.toString();
  });
  const stream = Duplex.from({ writable: stdin, readable: stdout });
  return { child, worker: await startWorker({ hostName: "here", stream, stderr: () => said }, options) };
}

export async function localWorker(options: LocalOptions = {}): Promise<Worker> {
  return (await localWorkerProcess(options)).worker;
}

async function searchPath(python: string | undefined): Promise<string> {
  const usual = "/usr/local/bin:/usr/bin:/bin";
  if (python === undefined) return usual;
  const folder = path.join(await scratch(), "bin");
  await mkdir(folder);
  await symlink(python, path.join(folder, "python3"));
  return `${folder}:${usual}`;
}

export function childrenOf(pid: number | undefined): number[] {
  return spawnSync("pgrep", ["-P", String(pid)], { encoding: "utf8" })
    .stdout.split("\n")
    .filter(Boolean)
    .map(Number);
}

/** The worker's first child: it has begun nothing else when it forks that. */
export function forkServerOf(worker: ChildProcess): number {
  const [server] = childrenOf(worker.pid);
  assert(server, "There is no fork server.");
  return server;
}

/** The process in which a switch is. */
export function switchOf(worker: ChildProcess): number {
  const children = childrenOf(forkServerOf(worker));
  assert(children[0] !== undefined && children.length === 1, `The switch is in ${inspect(children)}.`);
  return children[0];
}

/** The failure that a promise must end in. */
export async function failure(name: FailureName, promise: Promise<unknown>): Promise<WorkerError> {
  const thrown: unknown = await promise.then(
    (value) => assert.fail(`It succeeded, with ${inspect(value)}.`),
    (reason: unknown) => reason,
  );
  assert(isFailure(thrown, name), `not ${name}: ${String(thrown)}`);
  return thrown;
}

/** A system's refusal with this number. */
export async function refusedWith(errno: number, promise: Promise<unknown>): Promise<void> {
  assert.equal((await failure("system", promise)).errno, errno);
}

export async function hasEnded(child: ChildProcess, seconds = 5): Promise<void> {
  const ended = () => (child.exitCode !== null || child.signalCode !== null ? "yes" : undefined);
  await until(seconds, ended, () => "The worker's process is still there.");
}
