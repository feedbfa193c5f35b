/** A domain that a virsh of the tests' own plays, images and manifests on this machine, and the real worker that switches it. */

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileStatus } from "../../../provider/host/worker/files.js";
import {
  type LibvirtSilence,
  type LibvirtSwitchDisk,
  type LibvirtSwitchResult,
  type PlannedImage,
  runLibvirtSwitch,
} from "../../../provider/host/worker/libvirt-switching.js";
import type { Worker } from "../../../provider/host/worker/worker.js";
import { until } from "../../sandbox/command.js";
import { localWorkerProcess, scratch } from "./harness.js";

export interface Setting {
  disks?: readonly string[];
  /** Those of them that are switched. @default all */
  switched?: readonly string[];
  /** Of the virsh: virsh-domain.py. */
  facts?: Readonly<Record<string, string>>;
  /** Disks whose image goes stale. @default all */
  stale?: readonly string[];
  /** Those that say in their manifests that their pivot is under way. @default none */
  marked?: readonly string[];
  /** Done before the switch begins; what the plan says is known by then. */
  spoil?: (scene: LibvirtScene) => Promise<unknown>;
}

const virsh = path.resolve(__dirname, "../../../../test/host/worker/virsh-domain.py");

export class LibvirtScene {
  private constructor(
    private readonly folder: string,
    readonly worker: Worker,
    readonly child: ChildProcess,
    private readonly setting: Setting,
  ) {}

  static async set(setting: Setting = {}): Promise<LibvirtScene> {
    const folder = await scratch();
    const { disks = ["vda"], facts = {} } = setting;
    for (const name of ["from", "to", "bin", "facts"]) await mkdir(path.join(folder, name));
    await writeFile(path.join(folder, "bin/virsh"), `#!/bin/sh\nexec python3 '${virsh}'\n`, { mode: 0o755 });
    const PATH = `${path.join(folder, "bin")}:/usr/local/bin:/usr/bin:/bin`;
    const through = ["env", `PATH=${PATH}`, `FACTS=${path.join(folder, "facts")}`, `TMPDIR=${folder}`];
    const { worker, child } = await localWorkerProcess({ through });
    const scene = new LibvirtScene(folder, worker, child, setting);
    for (const disk of disks) await scene.make(disk);
    for (const [name, text] of Object.entries({ disks: disks.join(" "), state: "running (booted)", ...facts })) await scene.put(name, text);
    return scene;
  }

  at(name: string): string {
    return path.join(this.folder, name);
  }

  put(name: string, text: string): Promise<void> {
    return writeFile(this.at(`facts/${name}`), text);
  }

  forget(name: string): Promise<void> {
    return rm(this.at(`facts/${name}`));
  }

  fact(name: string): string {
    return readFileSync(this.at(`facts/${name}`), "utf8").trim();
  }

  has(name: string): boolean {
    return existsSync(this.at(`facts/${name}`));
  }

  private async make(disk: string): Promise<void> {
    const [former, target] = [this.at(`from/${disk}`), this.at(`to/${disk}`)];
    await writeFile(former, "former");
    await writeFile(target, "target");
    for (const [name, text] of Object.entries({ source: former, target, defined: former })) await this.put(`${name}-${disk}`, text);
    for (const side of ["from", "to"]) {
      const texts = { "": "before", ".back": "before", ".mark": "under way", ".next": "after" };
      for (const [end, text] of Object.entries(texts)) await writeFile(this.at(`${side}/${disk}.json${end}`), text);
    }
  }

  private async plan(disk: string): Promise<LibvirtSwitchDisk> {
    const { stale = this.setting.disks ?? ["vda"], marked = [] } = this.setting;
    const identity = async (file: string) => (await fileStatus(this.worker, { path: file })).identity;
    const move = async (from: string, to: string, back?: string) => ({
      from: { path: from },
      to: { path: to },
      file: await identity(from),
      back: back === undefined ? null : { place: { path: back }, file: await identity(back) },
    });
    const records = ["from", "to"].map((side) => this.at(`${side}/${disk}.json`));
    const former = this.at(`from/${disk}`);
    return {
      target: disk,
      chain: [imageAt(former)],
      destination: imageAt(this.at(`to/${disk}`)),
      job: "copy",
      marks: marked.includes(disk) ? await Promise.all(records.map((record) => move(`${record}.mark`, record, `${record}.back`))) : [],
      manifests: await Promise.all(records.map((record) => move(`${record}.next`, record, `${record}.back`))),
      stale: stale.includes(disk) ? [await move(former, `${former}.away`)] : [],
    };
  }

  async runs(silent?: (silence: LibvirtSilence) => void): Promise<LibvirtSwitchResult> {
    const { disks: all = ["vda"], switched = all } = this.setting;
    const disks = await Promise.all(switched.map((disk) => this.plan(disk)));
    await this.setting.spoil?.(this);
    return runLibvirtSwitch(
      this.worker,
      { uri: "test:///default", domain: "domain", switchLock: "/run/x", disks },
      { locks: [], ...(silent && { silent }) },
    );
  }

  /** What virsh was told, by its verbs, the last one perhaps not answered, but for what only waits. */
  get log(): string[] {
    if (!this.has("log")) return [];
    return this.fact("log")
      .split("\n")
      .map((line) => {
        if (line.includes("--set")) return "record";
        if (line.includes("--remove")) return "end-record";
        if (line.includes("--pivot")) return `pivot ${line.includes("vdb") ? "vdb" : "vda"}`;
        return line.includes("--inactive") ? "definition" : (line.split(" ")[0] ?? "");
      })
      .filter((verb) => !["blockjob", "hostname", "list"].includes(verb));
  }

  /** Until this is what virsh was told last. */
  told(verb: string): Promise<true> {
    return until(
      10,
      () => (this.log.at(-1) === verb ? true : undefined),
      () => `virsh was not told ${verb}: ${this.log}`,
    );
  }

  async manifests(disk = "vda"): Promise<string[]> {
    return Promise.all(["from", "to"].map((side) => readFile(this.at(`${side}/${disk}.json`), "utf8")));
  }

  async isAsBefore(disk = "vda"): Promise<void> {
    assert.deepEqual(await this.manifests(disk), ["before", "before"]);
    assert(existsSync(this.at(`from/${disk}`)) && !existsSync(this.at(`from/${disk}.away`)));
    assert.equal(this.fact(`defined-${disk}`), this.at(`from/${disk}`));
  }

  async isSwitched(disk = "vda"): Promise<void> {
    assert.deepEqual(await this.manifests(disk), ["after", "after"]);
    assert(!existsSync(this.at(`from/${disk}`)) && existsSync(this.at(`from/${disk}.away`)));
    assert.equal(this.fact(`defined-${disk}`), this.at(`to/${disk}`));
  }

  /** That the guest goes on, and nothing tells of a switch. */
  isOver(state = "running (unpaused)"): void {
    assert.deepEqual([this.fact("state"), this.has("recorded")], [state, false]);
  }
}

function imageAt(file: string): PlannedImage {
  const { dev, ino } = statSync(file);
  return { path: file, format: "raw", device: String(dev), inode: String(ino) };
}
