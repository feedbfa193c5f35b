/** One guest over one sshd, and a StorageMigration's lifecycle driven without an engine. */

import assert from "node:assert/strict";
import { mkdir, realpath } from "node:fs/promises";
import path from "node:path";
import { isOurs } from "../../provider/core/errors.js";
import { type Lifecycle, type Properties, type Run, Unfinished } from "../../provider/core/lifecycle.js";
import { closeAllHosts } from "../../provider/host/connection.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { checkImage } from "../sandbox/check.js";
import { until } from "../sandbox/command.js";
import type { OtherImages } from "../sandbox/command-line.js";
import type { DiskOptions } from "../sandbox/disks.js";
import { type MountOptions, mountSmall } from "../sandbox/file-systems.js";
import type { Guest, GuestOptions } from "../sandbox/guest.js";
import { Operator } from "../sandbox/operator.js";
import { createSandbox, type Sandbox, type SandboxOptions } from "../sandbox/sandbox.js";
import { Recorder } from "./recorder.js";
import { snapshotOf } from "./snapshot.js";

export { Recorder } from "./recorder.js";

/** Of a disk, in a resource's outputs. */
export interface Move {
  phase: string;
  bootPath: string;
  chain: { path: string; format: string }[];
  left?: string[];
  pauseMs?: number;
  copiedBytes?: number;
}

export interface StageOptions extends Omit<GuestOptions, "folder" | "disks"> {
  /** Part of the sandbox folder's name. */
  sandboxName?: string;
  /** The guest's folder. */
  name?: string;
  /** What the guest's folder, with both storages, lies on. @default the machine's own */
  fileSystem?: MountOptions["kind"];
  /** Of the sandbox's sshd. */
  sshd?: SandboxOptions["sshd"];
  /** Makes what the guest needs and names its disks; `at` is a path in the guest's folder, where `path1` is made. What it mounts is undone with the sandbox. */
  disks?: (at: (...names: string[]) => string, sandbox: Pick<Sandbox, "defer">) => Promise<DiskOptions[]> | DiskOptions[];
}

export class Stage implements AsyncDisposable {
  private constructor(
    readonly sandbox: Sandbox,
    readonly guest: Guest,
    public operator: Operator,
    /** Of the guest: sockets, logs, `path1`, `path2`. */
    readonly folder: string,
  ) {}

  static async open({ sandboxName = "stage", name = "web", disks, sshd, fileSystem, ...rest }: StageOptions = {}): Promise<Stage> {
    const sandbox = await createSandbox(sandboxName, sshd && { sshd });
    try {
      const folder = path.join(sandbox.folder, name);
      if (fileSystem) await mountSmall(sandbox, folder, { kind: fileSystem, sizeMiB: 600 });
      await mkdir(path.join(folder, "path1"), { recursive: true });
      const made = await disks?.((...names) => path.join(folder, ...names), sandbox);
      const guest = await sandbox.startGuest({ name, ...rest, ...(made && { disks: made }) });
      return new Stage(sandbox, guest, await Operator.connect(guest.operatorSocket), folder);
    } catch (reason) {
      await sandbox.dispose();
      throw reason;
    }
  }

  at(...names: string[]): string {
    return path.join(this.folder, ...names);
  }

  get arguments(): Properties {
    return { host: this.sandbox.host, domain: { qmp: this.guest.qmpSocket }, disks: ["vda"], destination: this.at("path2") };
  }

  /** A whole create. */
  async moves(different: Properties = {}, run: Run = new Recorder()): Promise<Record<string, Move>> {
    const { outputs } = await created(storageMigration, { ...this.arguments, ...different }, run);
    return outputs.moves as Record<string, Move>;
  }

  /** @returns the message of the refusal, which has touched nothing in the guest's folder, in `also`, or in QEMU */
  async refuses(different: Properties, options: { run?: Run; also?: readonly string[] } = {}): Promise<string> {
    const busy = await this.busyFiles();
    const look = () => snapshotOf([this.folder, ...(options.also ?? [])], this.operator, busy);
    const before = await look();
    const message = await refusal(storageMigration, { ...this.arguments, ...different }, options.run);
    assert.deepEqual(await look(), before);
    return message;
  }

  /** A power cut, and a start by the same command line. */
  async reboot(): Promise<void> {
    await this.operator.close();
    await this.guest.kill();
    await this.boot();
  }

  /** After the guest has ended. With `others`, a disk's active image is another file. */
  async boot(others: OtherImages = {}): Promise<void> {
    await this.guest.boot(others);
    this.operator = await Operator.connect(this.guest.operatorSocket);
  }

  /** Ends a job that was started by hand, and waits until it is gone. */
  async endJob(id: string): Promise<void> {
    await this.operator.execute("block-job-cancel", { device: id, force: true });
    const isGone = async () => ((await this.operator.execute("query-jobs")) as { id: string }[]).every((job) => job.id !== id) || undefined;
    await until(30, isGone, () => `The job ${id} does not end.`);
  }

  /** Every acknowledged record is in the image, and nothing else has changed. The guest must have ended. */
  async holdsAll(image: string, disk?: string): Promise<void> {
    const { lost, corrupt } = await checkImage(image, this.guest.disk(disk));
    assert(
      lost.length + corrupt.length === 0,
      `${image}: lost ${lost.slice(0, 9)} (${lost.length}), corrupt ${corrupt.slice(0, 9)} (${corrupt.length})`,
    );
  }

  /** What changes without us: the guest's own files. */
  private async busyFiles(): Promise<string[]> {
    const active = await Promise.all(this.guest.disks.map(async ({ id }) => realpath(await this.operator.activeImage(id))));
    return [...active, this.at("serial.log"), this.at("qemu.log")];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.operator.close();
    await closeAllHosts();
    await this.sandbox.dispose();
  }
}

export async function created(lifecycle: Lifecycle, news: Properties, run: Run = new Recorder()) {
  const { inputs, failures } = lifecycle.check({}, news);
  assert.deepEqual(failures, []);
  return lifecycle.create(inputs, run);
}

/** The message of a create that is refused with nothing begun: in words, one line, for people. */
export async function refusal(lifecycle: Lifecycle, news: Properties, run: Run = new Recorder()): Promise<string> {
  const thrown: unknown = await created(lifecycle, news, run).then(
    ({ outputs }) => assert.fail(`It was not refused: ${JSON.stringify(outputs)}`),
    (reason: unknown) => reason,
  );
  assert(!(thrown instanceof Unfinished), `something was begun: ${String(thrown)}`);
  assert(isOurs(thrown), `no error of ours: ${thrown instanceof Error ? thrown.stack : thrown}`);
  assert.equal("code" in thrown ? typeof thrown.code : "none", "none");
  assertSentence(thrown.message);
  if (process.env.SHOW_MESSAGES) console.log(`        > ${thrown.message}`);
  return thrown.message;
}

/** In the project's form: what could not be done, why, what to do; no trace, no object's insides. */
export function assertSentence(message: string): void {
  assert.match(message, /^Unable to [^\n]+: [^\n]+\.$/);
  assert.doesNotMatch(message, /\n|undefined|\[object|node_modules|^\s+at /);
}

/** Gives each test of a describe block a stage of its own; `prepare` makes what all of them begin with. */
export function onOwnStage(options?: StageOptions, prepare?: (stage: Stage) => Promise<unknown>): () => Stage {
  return stages({ open: beforeEach, close: afterEach }, options, prepare);
}

/** Gives a describe block one stage for all of its tests, which only read, or leave all as it was. */
export function onStage(options?: StageOptions, prepare?: (stage: Stage) => Promise<unknown>): () => Stage {
  return stages({ open: before, close: after }, options, prepare);
}

type Hook = (what: () => Promise<void>) => void;

function stages(when: { open: Hook; close: Hook }, options?: StageOptions, prepare?: (stage: Stage) => Promise<unknown>): () => Stage {
  let stage: Stage | undefined;
  when.open(async () => {
    stage = await Stage.open(options);
    await prepare?.(stage);
  });
  when.close(async () => {
    await stage?.[Symbol.asyncDispose]();
    stage = undefined;
  });
  return () => {
    assert(stage, "the stage is set before the tests");
    return stage;
  };
}

/** A create that is asked to stop as soon as it says this. */
export async function stopAt(word: string, stage: Stage, different: Properties): Promise<void> {
  const run = new Recorder();
  const moving = stage.moves(different, run);
  const ended = moving.then(
    () => true,
    () => true,
  );
  const said = () => run.lines.some((line) => line.includes(word));
  while (!said() && !(await Promise.race([ended, new Promise((wake) => setTimeout(wake, 20))]))) {}
  run.ask();
  await moving;
}
