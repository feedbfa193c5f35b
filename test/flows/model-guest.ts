/**
 * A guest without a QEMU whose block nodes and jobs go on as QEMU's do: an image is opened with the chain that its header names, an overlay
 * goes on top of a node, a mirror or a commit becomes ready, then pending, and only its finalize changes what the guest writes to. Files are
 * real; data is not written. What QEMU does to data is tested with a real one.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, lstatSync, readFileSync, renameSync, statSync } from "node:fs";
import path from "node:path";
import type { LayerFile } from "../../provider/core/disk/chain-options.js";
import type { Job, JobStatus } from "../../provider/core/disk/job.js";
import { UnreachableError, UserError } from "../../provider/core/errors.js";
import type { Host } from "../../provider/host/host.js";
import type { Place } from "../../provider/host/worker/place.js";
import type { PlannedSwitch, SwitchMove, SwitchResult } from "../../provider/host/worker/switching.js";
import type {
  CollapseOptions,
  DiskView,
  GuestView,
  MirrorOptions,
  NodeView,
  SwitchRequest,
  SwitchWords,
  TargetOptions,
} from "../../provider/hypervisor/hypervisor.js";
import { Switching } from "../../provider/hypervisor/qemu/switching.js";
import type { Answers } from "./move/noting-guest.js";

function pathOf(place: Place | undefined): string {
  assert(place && "path" in place);
  return place.path;
}

/** As the worker writes it into a manifest. */
function measured(file: string): string {
  const { size, mtimeNs } = statSync(file, { bigint: true });
  return `"sizeBytes": ${size}, "modified": "${mtimeNs / 1_000_000_000n}.${String(mtimeNs % 1_000_000_000n).padStart(9, "0")}"`;
}

interface Node {
  name: string;
  format: string;
  path: string;
  /** `dev:ino` of what was opened by that name. */
  file: string;
  /** Of the file that is open, whatever it is called by now. */
  header: Header;
  backing?: Node;
}

interface ModelJob extends Job {
  /** What its end does to the graph. */
  end: () => void;
  /** Goes by itself at its end. */
  isDismissed: boolean;
}

interface Header {
  format: string;
  virtualBytes: number;
  backing?: { name: string; format: string };
}

/** What an image says of itself, and of its backing file. */
function headerOf(file: string): Header {
  const bytes = readFileSync(file);
  if (bytes.toString("latin1", 0, 4) !== "QFI\xfb") return { format: "raw", virtualBytes: bytes.length };
  const virtualBytes = Number(bytes.readBigUInt64BE(24));
  const at = Number(bytes.readBigUInt64BE(8));
  if (at === 0) return { format: "qcow2", virtualBytes };
  const name = bytes.toString("utf8", at, at + bytes.readUInt32BE(16));
  for (let offset = bytes.readUInt32BE(100); ; ) {
    const [type, length] = [bytes.readUInt32BE(offset), bytes.readUInt32BE(offset + 4)];
    assert.notEqual(type, 0, `${file} names no format of its backing file`);
    if (type === 0xe2792aca)
      return { format: "qcow2", virtualBytes, backing: { name, format: bytes.toString("utf8", offset + 8, offset + 8 + length) } };
    offset += 8 + Math.ceil(length / 8) * 8;
  }
}

/** Makes a qcow2; what it stands on need not be there. */
export function makeQcow2(file: string, backing?: { name: string; format: string }, size = "1M"): void {
  const below = backing ? ["-u", "-b", backing.name, "-F", backing.format] : [];
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", ...below, file, size]);
}

export class ModelGuest {
  /** Once, in the next switch: after so many of its stages, all of which are the most. */
  workerDies: "never" | { afterStages: number } = "never";
  /** Once, in the next switch: the disk that does not pivot, though its job ends. */
  staysBehind: string | undefined;
  /** The commands that change something, in their order. */
  readonly done: string[] = [];
  jobs: ModelJob[] = [];
  readonly #nodes = new Map<string, Node>();
  readonly #roots = new Map<string, string>();
  readonly #switching: Switching;
  #unnamed = 0;

  /** On this host its switches are carried out. */
  constructor(host: Host) {
    this.#switching = new Switching(host, {
      switch: async (plan) => this.#switch(plan),
      recover: async (plan) => this.#recover(plan),
    });
  }

  /** Gives the guest a disk. */
  plug(qdev: string, node: string, image: string): void {
    this.#open(node, image, headerOf(image).format);
    this.#roots.set(qdev, node);
  }

  /** The guest is started again by the same command line but for the images of its disks: no node and no job of ours is left. */
  restart(images: Readonly<Record<string, string>>): void {
    this.jobs = [];
    this.#nodes.clear();
    for (const [qdev, image] of Object.entries(images)) this.plug(qdev, `${qdev}-again`, image);
  }

  /** What a disk's chain is now, top first. */
  chain(qdev: string): string[] {
    return this.#layers(this.#root(qdev)).map((node) => node.path);
  }

  /** The node of the file with this end has a name of its own, as on a command line of `-blockdev`. */
  call(file: string, name: string): void {
    const found = [...this.#nodes.values()].find((node) => node.path.endsWith(file));
    assert(found);
    this.#nodes.delete(found.name);
    found.name = name;
    this.#nodes.set(name, found);
  }

  /** As libvirt does it: begun and over. */
  pullTo(qdev: string, file: string): void {
    const top = this.#root(qdev);
    this.#pull(
      top,
      this.#layers(top).find((node) => node.path === file),
      undefined,
    );
  }

  /** Names of the nodes that somebody gave one. */
  get named(): string[] {
    return [...this.#nodes.keys()].filter((name) => !name.startsWith("#"));
  }

  /** As answers of a guest that notes what it is asked. */
  answers(): Answers {
    const change =
      <A extends unknown[]>(name: string, work: (...args: A) => unknown) =>
      (...args: A) => {
        const [first] = args;
        this.done.push(`${name} ${typeof first === "object" ? Object.values(first ?? {})[0] : String(first)}`);
        return work(...args);
      };
    return {
      look: () => this.#view(),
      lookAtChains: () => this.#view(),
      jobs: () => this.#told(),
      process: () => ({
        pid: 1,
        workingDirectory: "/",
        openFiles: new Set([...this.#nodes.values()].map(({ file }) => file)),
        openPaths: [],
      }),
      requestsOf: () => ({ wait: "in-guest" }),
      layerNodes: (top: string) => this.#layers(this.#node(top)).map(({ name }) => name),
      wakeUp: () => this.#goOn(),
      probe: change("probe", (_: string, file: string) => void statSync(file)),
      hold: change("hold", (node: string, file: string, format: string) => this.#open(node, file, format)),
      openTarget: change("openTarget", (node: string, { path: file, format, backing, below }: TargetOptions) => {
        this.#open(node, file, format, backing ?? below);
      }),
      openOverlay: change("openOverlay", (node: string, { path: file, format }: TargetOptions) => this.#open(node, file, format, null)),
      openLayer: change("openLayer", (node: string, { path: file, format, below }: TargetOptions) => this.#open(node, file, format, below)),
      openedChain: (node: string) => this.#layers(this.#node(node)).map(({ path: file, format }) => ({ path: file, format })),
      reopenOn: change("reopenOn", (node: string, { backing }: TargetOptions) => {
        this.#node(node).backing = this.#node(String(backing));
      }),
      snapshot: (pairs: readonly { node: string; overlay: string }[]) => {
        this.done.push(`snapshot ${pairs.map(({ node }) => node).join(", ")}`);
        for (const { node, overlay } of pairs) this.#putOn(this.#node(node), this.#node(overlay));
      },
      startMirror: change("startMirror", ({ job, target }: { job: string; target: string }, { source }: MirrorOptions) => {
        this.#begin(job, "mirror", () => this.#replace(this.#node(source), this.#node(target)));
      }),
      startCommit: change("startCommit", (id: string, _: string, { top, base }: CollapseOptions) => {
        this.#begin(id, "commit", () => this.#replace(this.#node(top), this.#node(String(base))));
      }),
      startPull: change("startPull", (id: string, _: string, { top, base, backingName }: CollapseOptions) => {
        this.#begin(id, "stream", () => this.#pull(this.#node(top), base === undefined ? undefined : this.#node(base), backingName));
      }),
      switch: (request: SwitchRequest, words: SwitchWords) => this.#switching.switch(request, words),
      pending: this.#switching,
      finalize: change("finalize", (id: string) => {
        const job = this.#turn(id, "pending", "concluded");
        job.end();
        if (job.isDismissed) this.#forget(id);
      }),
      cancel: change("cancel", (id: string) => {
        const job = this.#job(id);
        job.status = "concluded";
        if (job.isDismissed) this.#forget(id);
      }),
      resume: change("resume", (id: string) => Object.assign(this.#job(id), { status: "running", ioStatus: "ok" })),
      dismiss: change("dismiss", (id: string) => {
        assert.equal(this.#job(id).status, "concluded");
        this.#forget(id);
      }),
      setSpeed: change("setSpeed", (id: string) => void this.#job(id)),
      closeNodes: (names: readonly string[]) => names.flatMap((name) => this.#close(name)),
    };
  }

  /** As the host's worker carries it out where nothing goes wrong, or dies before the last command, or before. */
  #switch({ disks, records, stages }: PlannedSwitch): SwitchResult {
    const each = (command: string, from: JobStatus, to: JobStatus) =>
      disks.map(({ job }) => {
        this.done.push(`${command} ${job}`);
        return this.#turn(job, from, to);
      });
    each("complete", "ready", "pending");
    for (const { places, measures } of records)
      for (const measure of measures) appendFileSync(pathOf(places[0]), `${measured(pathOf(measure.places[0]))}${measure.textBehind}`);
    const { workerDies } = this;
    this.workerDies = "never";
    for (const { from, to } of stages.slice(0, workerDies === "never" ? undefined : workerDies.afterStages).flat())
      renameSync(pathOf(from), pathOf(to));
    if (workerDies !== "never") throw new UnreachableError("the connection was lost. Run `pulumi up` again.");
    const astray = disks.flatMap(({ job, device }) => (device === this.staysBehind ? [job] : []));
    this.staysBehind = undefined;
    for (const job of each("finalize", "pending", "concluded")) if (!astray.includes(job.id)) job.end();
    return { end: astray.length > 0 ? "astray" : "switched", why: null, astray, pauseSeconds: 0.01 };
  }

  /** As the worker of the next run does it: by the commit point. */
  #recover({ disks, stages, commit }: PlannedSwitch): SwitchResult {
    const isDone = ({ to, file }: SwitchMove) => lstatSync(pathOf(to), { throwIfNoEntry: false })?.ino === Number(file.inode);
    const waiting = disks.filter(({ job }) => this.#job(job).status === "pending");
    const result = { why: null, astray: [], pauseSeconds: 0.01 };
    if (stages[commit]?.every(isDone)) {
      for (const move of stages.flat()) if (!isDone(move)) renameSync(pathOf(move.from), pathOf(move.to));
      for (const { job } of waiting) {
        this.done.push(`finalize ${job}`);
        this.#turn(job, "pending", "concluded").end();
      }
      return { end: "switched", ...result };
    }
    for (const { from, to, back } of stages.flat().reverse().filter(isDone))
      renameSync(pathOf(back ? back.place : to), pathOf(back ? to : from));
    for (const { job } of waiting) {
      this.done.push(`cancel ${job}`);
      this.#turn(job, "pending", "concluded");
    }
    return { end: "cancelled", ...result };
  }

  #view(): GuestView {
    const disks = [...this.#roots.keys()].map((qdev): DiskView => ({ qdev, names: [qdev], medium: this.#medium(qdev) }));
    const nodes = [...this.#nodes.values()].map(({ name, format, path: file }): NodeView => ({ name, driver: format, file }));
    return { domainId: "domain", status: "running", disks, jobs: this.#told(), nodes };
  }

  #told(): Job[] {
    return this.jobs.map(({ end: _, isDismissed: __, ...job }) => job);
  }

  #medium(qdev: string): DiskView["medium"] {
    const top = this.#root(qdev);
    const layers = this.#layers(top).map(({ path: file, format, header: { virtualBytes, backing } }) => ({
      ...{
        path: file,
        format,
        virtualBytes,
        allocatedBytes: 4096,
        ...(backing && { backingName: backing.name, backingFormat: backing.format }),
      },
    }));
    const [active, ...below] = layers;
    assert(active);
    return {
      ...{ kind: "image", readOnly: false, rootNode: top.name, activeNode: top.name, chain: [active, ...below], detectZeroes: "off" },
      ...{ cache: { direct: false, noFlush: false }, creation: { format: active.format, options: {} } },
      ...{ dirtyBitmaps: [], persistentBitmaps: [], internalSnapshots: [] },
    };
  }

  #root(qdev: string): Node {
    return this.#node(this.#roots.get(qdev) ?? "");
  }

  #node(name: string): Node {
    const found = this.#nodes.get(name);
    if (!found) throw new UserError(`Cannot find device='' nor node-name='${name}'`);
    return found;
  }

  #layers(top: Node): Node[] {
    return top.backing ? [top, ...this.#layers(top.backing)] : [top];
  }

  /** @param backing null: none; absent: what the header names; else a node, or files that are opened by what they are said to be */
  #open(name: string, file: string, format: string, backing?: string | readonly LayerFile[] | null): Node {
    if (this.#nodes.has(name)) throw new UserError(`Duplicate nodes with node-name='${name}'`);
    const { dev, ino } = statSync(file);
    const node: Node = { name, format, path: file, file: `${dev}:${ino}`, header: headerOf(file) };
    const below = backing === undefined && format === "qcow2" ? node.header.backing : undefined;
    const [first, ...rest] = Array.isArray(backing) ? (backing as readonly LayerFile[]) : [];
    if (typeof backing === "string") node.backing = this.#node(backing);
    else if (first) node.backing = this.#open(`#block${this.#unnamed++}`, first.path, first.format, rest.length === 0 ? null : rest);
    else if (below) node.backing = this.#open(`#block${this.#unnamed++}`, path.resolve(path.dirname(file), below.name), below.format);
    this.#nodes.set(name, node);
    return node;
  }

  #putOn(node: Node, overlay: Node): void {
    overlay.backing = node;
    for (const [qdev, root] of this.#roots) if (root === node.name) this.#roots.set(qdev, overlay.name);
  }

  #replace(node: Node, by: Node): void {
    for (const [qdev, root] of this.#roots) if (root === node.name) this.#roots.set(qdev, by.name);
  }

  #pull(top: Node, base: Node | undefined, name: string | undefined): void {
    if (base) top.backing = base;
    else delete top.backing;
    const below = base ? ["-b", name ?? base.path, "-F", base.format] : ["-b", ""];
    execFileSync("qemu-img", ["rebase", "-u", "-U", "-f", top.format, ...below, top.path]);
    top.header = headerOf(top.path);
  }

  #begin(id: string, type: string, end: () => void): void {
    if (this.jobs.some((job) => job.id === id)) throw new UserError(`Job ID '${id}' already in use`);
    const progress = { currentProgress: 0, totalProgress: 1024 };
    this.jobs.push({ id, type, status: "running", ...progress, ioStatus: "ok", end, isDismissed: type === "stream" });
  }

  /** A little time goes by. */
  #goOn(): void {
    for (const job of this.jobs) {
      if (job.status === "running") job.status = job.type === "stream" ? "pending" : "ready";
      else if (job.status === "waiting") job.status = "pending";
    }
  }

  #job(id: string): ModelJob {
    const found = this.jobs.find((job) => job.id === id);
    if (!found) throw new UserError(`Job '${id}' not found`);
    return found;
  }

  #turn(id: string, from: JobStatus, to: JobStatus): ModelJob {
    const job = this.#job(id);
    if (job.status !== from) throw new UserError(`Job '${id}' in state '${job.status}' cannot accept command verb`);
    job.status = to;
    return job;
  }

  #forget(id: string): void {
    this.jobs = this.jobs.filter((job) => job.id !== id);
  }

  #close(name: string): { node: string; why: string }[] {
    const node = this.#nodes.get(name);
    if (!node) return [];
    const isUsed = [...this.#roots.values()].includes(name) || [...this.#nodes.values()].some(({ backing }) => backing === node);
    if (isUsed) return [{ node: name, why: `Node '${name}' is busy: node is used as backing hd` }];
    this.done.push(`close ${name}`);
    this.#nodes.delete(name);
    if (node.backing?.name.startsWith("#")) this.#close(node.backing.name);
    return [];
  }
}
