/** Two folders with the files of a move of one disk, and what it has written down: no guest, no server. */

import assert from "node:assert/strict";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { type FileIdentity, identityOf, type WhichFile, whichOf } from "../../../provider/core/disk/chain.js";
import type { Job } from "../../../provider/core/disk/job.js";
import { diskKey, fileNames, nodeNames, quarantineName } from "../../../provider/core/disk/names.js";
import { type MoveOptions, moveOptions } from "../../../provider/flows/shared/options.js";
import { Outcome } from "../../../provider/flows/shared/outcome.js";
import type { SeenDisk, Site } from "../../../provider/flows/shared/site.js";
import { type FileSeen, seeFiles } from "../../../provider/host/file-seen.js";
import type { GuestProcess, ImageView } from "../../../provider/hypervisor/hypervisor.js";
import type { Manifest, MovedLayer } from "../../../provider/journal/manifest.js";
import { formatRecord, type LayerRecord } from "../../../provider/storage/directory/layer-record.js";
import { ShellHost } from "../../host/shell-host.js";
import { inMemory, makeFolder } from "../../sandbox/folders.js";
import { thisWorld } from "../../world.js";
import { type Answers, type Noting, notingGuest } from "./noting-guest.js";

export const key = diskKey("domain", "vda");
export const overlayName = fileNames.overlay(key);
export const passingName = fileNames.passing("disk.qcow2", key);

export type Overlay = NonNullable<Manifest["overlay"]>;

export const aJob: Job = {
  ...{ id: `lm-${key}-mirror`, type: "mirror", status: "running", currentProgress: 0, totalProgress: 1, ioStatus: "ok" },
};

export class MoveScene implements AsyncDisposable {
  readonly host = new ShellHost();
  /** What the run has told, a line each. */
  readonly told: string[] = [];
  readonly outcome = new Outcome(thisWorld);

  private constructor(
    readonly folder: string,
    readonly remove: () => Promise<void>,
  ) {}

  /** path1/disk.qcow2 on path1/base.raw is the guest's chain, path2 the destination. */
  static async open(): Promise<MoveScene> {
    const { path: folder, remove } = await makeFolder("livedisk-move-", inMemory);
    const scene = new MoveScene(folder, remove);
    for (const side of ["path1", "path2"]) await mkdir(scene.at(side));
    for (const name of ["path1/disk.qcow2", "path1/base.raw"]) await scene.write(name);
    return scene;
  }

  at(name: string): string {
    return path.join(this.folder, name);
  }

  async write(name: string, text = name): Promise<void> {
    await writeFile(this.at(name), text);
  }

  move(from: string, to: string): Promise<void> {
    return rename(this.at(from), this.at(to));
  }

  take(name: string): Promise<void> {
    return rm(this.at(name), { recursive: true });
  }

  async identity(name: string): Promise<FileIdentity> {
    return identityOf(await this.seen(name));
  }

  /** Only which file it is. */
  async which(name: string): Promise<WhichFile> {
    return whichOf(await this.seen(name));
  }

  private async seen(name: string): Promise<FileSeen> {
    const [found] = await seeFiles(this.host, [this.at(name)], "follow");
    assert(found, name);
    return found;
  }

  /** The QEMU that has these open. */
  async process(...names: string[]): Promise<GuestProcess> {
    const ids = await Promise.all(names.map((name) => this.which(name)));
    return { pid: 1, workingDirectory: "/", openFiles: new Set(ids.map(({ dev, ino }) => `${dev}:${ino}`)), openPaths: [] };
  }

  /** A finished copy with its sidecar. */
  async copied(name: string, { user = key, more = {} as Partial<LayerRecord> } = {}): Promise<FileIdentity> {
    await this.write(name);
    const copy = await this.identity(name);
    const { dev: _, ...is } = copy;
    const record: LayerRecord = {
      ...{ origin: { source: copy, backing: "as-in-source" }, copy: { phase: "finished", ...is } },
      ...{ moving: [user], kept: [], ...more },
    };
    await this.write(fileNames.sidecar(name), `${formatRecord(record).join("\n")}\n`);
    return copy;
  }

  async layer(more: Partial<MovedLayer> = {}, name = "base.raw"): Promise<MovedLayer> {
    return {
      ...{ source: this.at(`path1/${name}`), destination: this.at(`path2/${name}`), format: "raw", coming: "copy" },
      ...{ identity: await this.identity(`path1/${name}`), ...more },
    };
  }

  get quarantine(): string {
    return this.at(`path1/${quarantineName("disk.qcow2", key, new Date(0))}`);
  }

  /** Strategy mirror; the target is made where that is there. */
  async manifest(more: Partial<Manifest> = {}): Promise<Manifest> {
    const [disk, base] = await Promise.all(["path1/disk.qcow2", "path1/base.raw"].map((name) => this.which(name)));
    assert(disk && base);
    const target = this.at("path2/disk.qcow2");
    const made = await this.which("path2/disk.qcow2").catch(() => undefined);
    const [home, there] = await Promise.all(["path1", "path2"].map((name) => this.seen(name)));
    assert(home && there);
    return {
      ...{ version: 1, domainId: "domain", qdev: "vda", disk: "vda", strategy: "mirror", startedAt: "x", afterwards: "quarantine" },
      source: { active: this.at("path1/disk.qcow2"), ...disk },
      chain: [
        { path: this.at("path1/disk.qcow2"), format: "qcow2", ...disk },
        { path: this.at("path1/base.raw"), format: "raw", ...base },
      ],
      destination: {
        ...{ directory: this.at("path2"), active: target, target, node: nodeNames.targets(key)[0] },
        ...{ ino: there.ino, backing: { name: "base.raw", format: "raw" } },
        ...(made && { file: made }),
      },
      directories: { source: home.identity, destination: there.identity },
      layers: [await this.layer()],
      ...{ quarantine: this.quarantine, formerNodes: [], current: this.at("path1/disk.qcow2") },
      ...more,
    };
  }

  /** Strategy snapshot, frozen: the overlay is there, and `current`. */
  async frozen(collapse: Overlay["collapse"], more: Partial<Manifest> = {}, overlay: Partial<Overlay> = {}): Promise<Manifest> {
    await this.write(`path1/${overlayName}`, "empty");
    const [landing, target] = collapse === "pull" ? [passingName, "disk.qcow2"] : ["disk.qcow2", overlayName];
    const manifest = await this.manifest();
    const frozen = await this.layer({ destination: this.at(`path2/${landing}`), format: "qcow2" }, "disk.qcow2");
    return {
      ...{ ...manifest, strategy: "snapshot", layers: [frozen, ...manifest.layers], current: this.at(`path1/${overlayName}`) },
      destination: {
        ...{ ...manifest.destination, target: this.at(`path2/${target}`) },
        ...{ active: this.at(`path2/${collapse === "commit" ? landing : target}`), backing: { name: landing, format: "qcow2" } },
      },
      overlay: {
        ...{ collapse, path: this.at(`path1/${overlayName}`), node: nodeNames.overlay(key) },
        ...{ made: await this.identity(`path1/${overlayName}`), landing: this.at(`path2/${landing}`) },
        ...{ landingNode: nodeNames.landings(key)[0], ...overlay },
      },
      ...more,
    };
  }

  options(more: Record<string, unknown> = {}): MoveOptions {
    return moveOptions.parse(more);
  }

  /** @param options as a user writes them */
  site(
    answers: Answers = {},
    options: Record<string, unknown> = {},
    { guest, asked }: Noting = notingGuest(answers, this.host),
  ): { site: Site & { destination: string }; asked: string[] } {
    const run = {
      progress: (text: string) => void this.told.push(text),
      say: (severity: string, text: string) => void this.told.push(`${severity}: ${text}`),
      ...{ world: this.host.world, stop: new AbortController().signal, credentials: {}, urn: "urn" },
    };
    return { site: { host: this.host, guest, run, options: this.options(options), destination: this.at("path2") }, asked };
  }

  image(
    names: readonly (readonly [string, string])[] = [
      ["path1/disk.qcow2", "qcow2"],
      ["path1/base.raw", "raw"],
    ],
    node = "vda-old",
  ): ImageView {
    const [top, ...below] = names.map(([name, format]) => ({ path: this.at(name), format, virtualBytes: 1024, allocatedBytes: 512 }));
    assert(top);
    return {
      ...{ readOnly: false, rootNode: node, activeNode: node, chain: [top, ...below], detectZeroes: "off" },
      ...{ cache: { direct: false, noFlush: false }, creation: { format: top.format, options: {} } },
      ...{ dirtyBitmaps: [], persistentBitmaps: [], internalSnapshots: [] },
    };
  }

  /** The disk as a look shows it, on its former image. */
  disk(more: Partial<SeenDisk> = {}): SeenDisk {
    const named = this.at("path1/disk.qcow2");
    return {
      ...{ disk: "vda", key, qdev: "vda", heading: "wanted", standing: "former", seen: { phase: "copied" } },
      ...{ image: this.image(), active: { named, directory: this.at("path1") }, bootPath: named, ...more },
    };
  }

  written(manifest: Manifest, more: Partial<SeenDisk> = {}): SeenDisk & { manifest: Manifest } {
    return { ...this.disk(more), manifest };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }
}
