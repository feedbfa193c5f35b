/** Two folders on this machine, and locks of runs in them. */

import { spawnSync } from "node:child_process";
import { mkdir, readFile, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileNames } from "../../provider/core/disk/names.js";
import { isKind } from "../../provider/core/errors.js";
import type { World } from "../../provider/core/world.js";
import type { Worker } from "../../provider/host/worker/worker.js";
import { type Holder, newHolder } from "../../provider/journal/holder.js";
import { Locks, type Waiting } from "../../provider/journal/lock.js";
import { undoLater } from "../host/worker/harness.js";
import { localWorkerAs } from "../hypervisor/qemu/local-host.js";
import { inMemory, makeFolder } from "../sandbox/folders.js";
import { thisWorld } from "../world.js";

export const key = "0a1b2c3d";

export class LockScene {
  /** Undone after the test, with the workers of `withWorkers`. */
  static async open(): Promise<LockScene> {
    const { path: folder, remove } = await makeFolder("livedisk lock '$(touch x)-", inMemory);
    undoLater(remove);
    const scene = new LockScene(folder);
    for (const name of ["one", "two"]) await mkdir(scene.at(name));
    return scene;
  }

  private constructor(readonly folder: string) {}

  at(name: string): string {
    return path.join(this.folder, name);
  }

  /** The lock's file. */
  file(directory = "one"): string {
    return this.at(`${directory}/${fileNames.lock(key)}`);
  }

  text(directory = "one"): Promise<string> {
    return readFile(this.file(directory), "utf8");
  }

  /** A run's locks, by the worker of this process, or by its own. */
  async locks({
    worker,
    holder,
    patienceSeconds = 3,
    watchSeconds = 1,
    state = "state",
    world = thisWorld,
  }: {
    worker?: Worker;
    holder?: Holder;
    patienceSeconds?: number;
    watchSeconds?: number;
    state?: string;
    world?: World;
  } = {}): Promise<Locks> {
    const locks = new Locks(worker ?? (await localWorkerAs("myself")), {
      world,
      holder,
      patienceSeconds,
      watchSeconds,
      stateDirectory: this.at(state),
    });
    undoLater(() => locks.release());
    return locks;
  }

  /** A lock file that says this, touched so long ago. */
  async says(text: string | object, { seconds = 0, directory = "one", mode = 0o600 } = {}): Promise<void> {
    const content = typeof text === "string" ? text : `${JSON.stringify(text)}\n`;
    await writeFile(this.file(directory), content, { mode });
    const then = Date.now() / 1000 - seconds;
    await utimes(this.file(directory), then, then);
  }
}

export function wait(stop: Waiting["stop"] = new AbortController().signal, said: Waiting["said"] = () => {}): Waiting {
  return { stop, said };
}

export const elsewhere = (): Holder => ({ ...newHolder(thisWorld), machine: "another machine", name: "runner-7" });
export const gone = (): Holder => ({ ...newHolder(thisWorld), pid: spawnSync("true").pid });

export const refusedFor = (words: RegExp) => (thrown: unknown) => isKind(thrown, "user") && words.test(thrown.message);
