/**
 * One switch of a guest of a real libvirtd's, by the real provider and worker, cut at one call of the child that carries it out; then the next
 * run. Afterwards guest, definition and manifests must agree.
 */

import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { messageOf } from "../../provider/core/errors.js";
import type { Properties } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { manifestsIn } from "../hypervisor/libvirt/alone.js";
import { LibvirtStage } from "../hypervisor/libvirt/stage.js";
import { workerAndChild } from "../hypervisor/libvirt/switch-processes.js";
import { checkImage } from "../sandbox/check.js";
import { until } from "../sandbox/command.js";
import { currentIn } from "../sandbox/current.js";
import { killQuietly } from "../sandbox/processes.js";
import { created } from "../storage-migration/stage.js";
import type { LibvirtFault, LibvirtPoint } from "./libvirt-points.js";
import { type Call, callsIn, isFailure } from "./points.js";
import { Strace } from "./strace.js";

const image = "disk.qcow2";

export interface LibvirtTried {
  problems: string[];
  /** Whether the call was made at all. */
  isReached: boolean;
}

/** One guest that is moved to and fro. It is of no more use after a problem. */
export class LibvirtSubject implements AsyncDisposable {
  #at: "path1" | "path2" = "path1";

  private constructor(private readonly stage: LibvirtStage) {}

  static async open(): Promise<LibvirtSubject> {
    const layers = [{ file: image, fill: { byte: 0x11, fromMiB: 8, lengthMiB: 4 } }]; // small, so that a move takes a second or two
    return new LibvirtSubject(await LibvirtStage.open({ disks: (at) => [{ storage: at("path1"), layers, virtualMiB: 64 }] }));
  }

  /** The calls of a switch's child that nobody cuts, from right before it records that it suspends the guest. */
  async recordedCalls(): Promise<Call[]> {
    const { strace } = await this.#switched("nobody", undefined);
    const problems = await this.#disagreements("nobody", undefined);
    if (problems.length > 0) throw new Error(`A switch through libvirt that nobody cuts is wrong: ${problems.join("; ")}`);
    this.#turn();
    return callsIn(await strace.text());
  }

  /** What hangs or throws on the way is a problem too. */
  async tryPoint({ fault, ...call }: LibvirtPoint): Promise<LibvirtTried> {
    try {
      const { strace, told } = await this.#switched(fault, call);
      const problems = [...(await this.#disagreements(fault, told)), ...(await this.#disagreementsAfterNextRun())];
      this.#turn();
      return { problems, isReached: await strace.hasInjected() };
    } catch (reason) {
      return { problems: [messageOf(reason)], isReached: true };
    }
  }

  get #destination(): string {
    return this.stage.at(this.#at === "path1" ? "path2" : "path1");
  }

  get #arguments(): Properties {
    return { ...this.stage.arguments, destination: this.#destination, afterwards: "delete" };
  }

  #turn(): void {
    this.#at = this.#at === "path1" ? "path2" : "path1";
  }

  /** To the end of the child, and of those who die with it. @returns what the run has said, unless it has come to a good end */
  async #switched(fault: LibvirtFault, call: Call | undefined): Promise<{ strace: Strace; told: string | undefined }> {
    const { stage } = this;
    const { virshLog } = stage;
    await virshLog.forget();
    await virshLog.hold("--key livedisk");
    const over = Promise.allSettled([created(storageMigration, this.#arguments)]);
    const isThere = async () => (await virshLog.sent()).some((line) => line.includes("--key livedisk")) || undefined;
    await Promise.race([until(60, isThere, () => "The move does not come to its switch."), over.then(([end]) => tellOfNoSwitch(end))]);
    const { worker, child } = workerAndChild(stage);
    const strace = await Strace.attach([child], straceWords(fault, call), path.join(stage.sandbox.folder, "trace"));
    if (fault.includes("child") && fault.includes("worker")) process.kill(worker, "SIGSTOP"); // it would have the next child at once
    await virshLog.release();
    if (isOfOthers(fault) && (await strace.stopped()) !== undefined) {
      await this.#killOthers(fault, worker);
      process.kill(child, "SIGCONT");
      if (fault === "libvirtd") await stage.libvirtd.launch();
    }
    await strace.end();
    if (fault.startsWith("child")) await this.#killOthers(fault, worker);
    const [end] = await over;
    return { strace, told: end.status === "rejected" ? messageOf(end.reason) : undefined };
  }

  async #killOthers(fault: LibvirtFault, worker: number): Promise<void> {
    const { libvirtd, guest } = this.stage;
    if (fault.includes("worker")) killQuietly(worker);
    if (fault.includes("QEMU")) await libvirtd.killGuest(guest.name);
    if (fault === "libvirtd") await libvirtd.kill();
  }

  /** Before the next run: what the host has done by itself, and what a start finds. A manifest that could not be written is only said. */
  async #disagreements(fault: LibvirtFault, told: string | undefined): Promise<string[]> {
    const { guest } = this.stage;
    const problems: string[] = [];
    if ((await guest.state()) === "shut off") {
      const { inactive = "" } = await this.stage.places();
      problems.push(...(await this.#lostOf(inactive, "closed")));
      await guest.boot();
      return problems;
    }
    if (fault.includes("child and worker")) return [];
    const isSaid = isFailure(fault) && told !== undefined;
    await this.#settles(problems, isSaid ? [] : await this.#currents());
    if (problems.length > 0) problems.push(`the run has said: ${told ?? "nothing"}`);
    return problems;
  }

  /** The guest runs, writes, and starts from where it runs. */
  async #settles(problems: string[], currents: readonly string[]): Promise<void> {
    const { stage } = this;
    const runs = async () => ((await stage.guest.state()) === "running" ? true : undefined);
    await until(30, runs, () => "").catch(() => problems.push("the guest does not run"));
    const { live, inactive } = await stage.places();
    if (live !== inactive) problems.push(`it runs on ${live}, and starts from ${inactive}`);
    for (const current of currents) if (current !== live) problems.push(`it runs on ${live}, and a manifest says ${current}`);
    await stage.guest.waitForRecords(2, 30).catch((reason: unknown) => problems.push(messageOf(reason)));
  }

  async #disagreementsAfterNextRun(): Promise<string[]> {
    const { stage } = this;
    await created(storageMigration, this.#arguments);
    const problems: string[] = [];
    const moved = path.join(this.#destination, image);
    await this.#settles(problems, [moved]);
    const left = (await Promise.all(["path1", "path2"].map((name) => readdir(stage.at(name))))).flat();
    if (left.join() !== image) problems.push(`there is left: ${left.join(", ")}`);
    await stage.libvirtd.virsh("suspend", stage.guest.name);
    problems.push(...(await this.#lostOf(moved, "paused")));
    await stage.libvirtd.virsh("resume", stage.guest.name);
    return problems;
  }

  async #currents(): Promise<string[]> {
    const files = await Promise.all(
      ["path1", "path2"].map(async (name) => (await manifestsIn(this.stage.at(name))).map((file) => this.stage.at(name, file))),
    );
    return Promise.all(files.flat().map(async (file) => currentIn(await readFile(file, "utf8"))));
  }

  async #lostOf(file: string, use: "closed" | "paused"): Promise<string[]> {
    const { lost, corrupt } = await checkImage(file, this.stage.guest.disk(), use);
    return lost.length + corrupt.length === 0 ? [] : [`${file} lacks ${lost.length} records, ${corrupt.length} clusters are corrupt`];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stage[Symbol.asyncDispose]();
  }
}

async function tellOfNoSwitch(end: PromiseSettledResult<unknown>): Promise<never> {
  throw new Error(`The move is over without a switch: ${end.status === "rejected" ? messageOf(end.reason) : "it was not needed"}`);
}

/** The child is stopped at the call, and goes on when they are dead. */
function isOfOthers(fault: LibvirtFault): boolean {
  return fault === "worker" || fault === "QEMU" || fault === "libvirtd";
}

function straceWords(fault: LibvirtFault, call: Call | undefined): string[] {
  if (call === undefined) return [];
  const deed = isFailure(fault) ? `error=${fault}` : `signal=${isOfOthers(fault) ? "STOP" : "KILL"}`;
  return ["-e", `trace=${call.name}`, "-e", `inject=${call.name}:${deed}:when=${call.occurrence}`];
}
