/** One guest whose disk is moved to and fro, and whose moves are broken. */

import { readlinkSync } from "node:fs";
import { readdir, readFile, readlink, realpath, rm, symlink } from "node:fs/promises";
import path from "node:path";
import { messageOf } from "../../provider/core/errors.js";
import { look } from "../e2e/reality.js";
import { openStage, type Stage } from "../e2e/stage.js";
import type { ResourceState } from "../engine/deployment.js";
import type { OperationResult } from "../engine/engine.js";
import { chainOf } from "../sandbox/check.js";
import { currentIn } from "../sandbox/current.js";
import { Operator } from "../sandbox/operator.js";
import { stillRunning } from "../sandbox/processes.js";
import { ForeignFiles } from "./foreign-files.js";
import { commitDown, strayNodes } from "./nodes.js";
import { OtherRunner } from "./other-runner.js";
import { type Strategy, wayOf } from "./strategies.js";
import { Trap } from "./trap.js";

export type Storage = "path1" | "path2";

/** Small, so that a move takes a second or two. */
const layers = [
  { file: "common.qcow2", fill: { byte: 0x11, fromMiB: 0, lengthMiB: 8 } },
  { file: "old.qcow2", fill: { byte: 0x22, fromMiB: 4, lengthMiB: 6 } },
];

/** An operation that takes longer does not end. The longest that it may wait for is a session of a host whose connection was cut. */
const hangsSeconds = 300;

export class Arena implements AsyncDisposable {
  /** Where the disk is, and whether the stack knows its resource. */
  place: Storage = "path1";
  known: "yes" | "no" = "no";
  #providers: number[] = [];
  /** What the program registers: it is run once. */
  #registered: ResourceState[] | undefined;
  #other: Promise<OtherRunner> | undefined;

  private constructor(
    readonly strategy: Strategy,
    readonly stage: Stage,
    readonly trap: Trap,
    readonly foreign: ForeignFiles,
  ) {}

  static async open(strategy: Strategy): Promise<Arena> {
    const trap = new Trap();
    const { through } = wayOf[strategy];
    const disk = { layers, virtualMiB: 64 };
    const stage = await openStage("faults", { kind: "StorageMigration", through, monitor: "proxied", gate: trap, disk, pauseMs: 40 });
    return new Arena(strategy, stage, trap, await ForeignFiles.put([stage.at("path1"), stage.at("path2")]));
  }

  /** Of the running operation's providers: those of its refresh may have ended, and their numbers be others' by now. */
  signalProviders(signal: NodeJS.Signals, whom: "processes" | "groups"): void {
    const running = new Set(stillRunning().map(({ pid }) => pid));
    for (const pid of this.#providers.filter((one) => running.has(one))) process.kill(whom === "groups" ? -pid : pid, signal);
  }

  /** Set up where it is needed first. */
  otherRunner(): Promise<OtherRunner> {
    this.#other ??= OtherRunner.on(this.stage, this.strategy);
    return this.#other;
  }

  /** What of other runs goes on on the host. */
  async otherPids(): Promise<number[]> {
    return (await this.#other)?.servedPids() ?? [];
  }

  get other(): Storage {
    return this.place === "path1" ? "path2" : "path1";
  }

  /** @throws Error when it has not ended by then: then an RPC was not answered, or hangs */
  async run(verb: "up" | "destroy", storage: Storage): Promise<OperationResult> {
    this.#providers = [];
    const late = new AbortController();
    const impatience = setTimeout(() => late.abort(), 1000 * hangsSeconds);
    const options = {
      signal: late.signal,
      onProviderStarted: (pid: number) => this.#providers.push(pid),
      ...(this.#registered && { registered: this.#wanted(this.#registered, storage) }),
    };
    const result = await this.stage.run(verb, storage, options, wayOf[this.strategy].settings);
    clearTimeout(impatience);
    if (late.signal.aborted) throw new Error(`The ${verb} hung for ${hangsSeconds} s:\n${result.output}`);
    if (verb === "up" && result.ok)
      this.#registered ??= result.state.deployment.resources.filter(({ type }) => !type.startsWith("pulumi:providers:"));
    return result;
  }

  #wanted(registered: readonly ResourceState[], storage: Storage): ResourceState[] {
    const moved = { destination: this.stage.at(storage) };
    return registered.map((one) => ("destination" in one.inputs ? { ...one, inputs: { ...one.inputs, ...moved } } : one));
  }

  /** The stack has a resource that says where the disk is, and nothing else. */
  async prepare(): Promise<void> {
    this.trap.clear();
    if (this.known === "yes") return;
    const result = await this.run("up", this.place);
    if (!result.ok) throw new Error(`The disk at ${this.place} could not be adopted:\n${result.output}`);
    this.known = "yes";
  }

  /** Boots the guest again as its own command line has it, so that it is like new. */
  async renew(): Promise<void> {
    await this.stage.guest.stop();
    await this.stage.guest.boot(this.#ownBoot());
  }

  /** What its administrator boots when no move is under way. */
  #ownBoot(): Record<string, string> {
    if (this.stage.link !== undefined || this.place === "path1") return {};
    return { vda: this.stage.at(this.place, "old.qcow2") };
  }

  /** After a move that went well: nothing of it is left to be found by the next one. */
  async settle(place: Storage): Promise<void> {
    this.place = place;
    if (this.strategy === "none") await this.#shorten();
    const kept = ["old.qcow2", "common.qcow2"].map((name) => this.stage.at(place, name));
    for (const storage of ["path1", "path2"]) {
      for (const name of await readdir(this.stage.at(storage))) {
        const file = this.stage.at(storage, name);
        if (!kept.includes(file) && !this.foreign.includes(file)) await rm(file, { recursive: true });
      }
    }
    const { link } = this.stage;
    if (link === undefined || (await readlink(link)) === this.stage.at(place)) return;
    await rm(link);
    await symlink(this.stage.at(place), link);
  }

  /** With collapse `none` the chain is one layer longer after each move: an administrator takes it away. */
  async #shorten(): Promise<void> {
    await using operator = await Operator.connect(this.stage.guest.operatorSocket);
    const top = await operator.activeImage("vda");
    if (path.basename(top) === "old.qcow2") return;
    await commitDown(operator, await realpath(path.join(path.dirname(top), "old.qcow2")));
    // a node may take those with it that it stands on
    for (let [node] = await strayNodes(operator); node !== undefined; [node] = await strayNodes(operator)) {
      await operator.execute("blockdev-del", { "node-name": node });
    }
  }

  /** The image at a storage on which no other stands. */
  async topAt(storage: Storage): Promise<string | undefined> {
    const images = (await readdir(this.stage.at(storage)))
      .filter((name) => name.endsWith(".qcow2"))
      .map((name) => this.stage.at(storage, name));
    const chains = await Promise.all(images.map((image) => chainOf(image)));
    return chains.toSorted((a, b) => b.length - a.length)[0]?.[0]?.path;
  }

  /** Whether its own command line names that image already, and what it stands on, else how it must be told. */
  bootFrom(image: string): Record<string, string> {
    const { guest, link } = this.stage;
    if (link === undefined) return { vda: image }; // in the middle of a move the layers below may be others: the header names them
    const named = link === undefined ? guest.disk().chain[0] : path.join(readlinkSync(link), "old.qcow2");
    return image === named ? {} : { vda: image };
  }

  /** The manifests that lie in the storages, and what each says. */
  async manifests(): Promise<{ path: string; current: string }[]> {
    const found: { path: string; current: string }[] = [];
    for (const storage of ["path1", "path2"]) {
      for (const name of await readdir(this.stage.at(storage))) {
        if (!/^lm-[0-9a-f]{8}\.manifest\.json$/.test(name)) continue;
        const file = this.stage.at(storage, name);
        found.push({ path: file, current: await currentIn(await readFile(file, "utf8")) });
      }
    }
    return found;
  }

  /** For whoever looks for the cause of a failure. */
  async describe(): Promise<Record<string, unknown>> {
    const { stage } = this;
    const left = await stage.sandbox.leftovers().catch(messageOf);
    const guest = stage.guest.state();
    return { place: this.place, guest, left, files: await filesIn(stage), seen: await look(stage).catch(messageOf) };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stage[Symbol.asyncDispose]();
  }
}

function filesIn(stage: Stage): Promise<string[]> {
  return readdir(path.dirname(stage.at("path1")), { recursive: true });
}
