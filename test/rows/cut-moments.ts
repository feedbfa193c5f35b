/**
 * A move whose link, source and destination lie in three file systems, with a power cut at every call in its switch that changes names or
 * makes something durable: each leaves what had come to the disks by then.
 */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, readlink, realpath, symlink } from "node:fs/promises";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { closeAllHosts } from "../../provider/host/connection.js";
import { Strace } from "../cuts/strace.js";
import { checkImage } from "../sandbox/check.js";
import type { LayerOptions } from "../sandbox/disks.js";
import { CutStorage } from "../sandbox/power-cut.js";
import { Stage } from "../storage-migration/stage.js";
import { image, SlowSwitch } from "./slow-switch.js";

const calls = "fsync,fdatasync,syncfs,sync,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat";

/** It is read after each cut. */
const little: LayerOptions = { file: image, fill: { byte: 0x11, fromMiB: 4, lengthMiB: 8 } };

/** The power is cut there. */
export interface Moment {
  number: number;
  /** The call that is just over, or the command that QEMU is just to see. */
  after: string;
  /** Records that the guest had called safe. */
  acknowledged: readonly number[];
}

export class CutMoments implements AsyncDisposable {
  readonly moments: Moment[] = [];

  private constructor(
    private readonly slow: SlowSwitch,
    private readonly storage: CutStorage,
    private readonly through: "link" | "name",
  ) {}

  static async set(through: "link" | "name" = "link"): Promise<CutMoments> {
    let storage: CutStorage | undefined;
    const stage = await Stage.open({
      disks: async (at, sandbox) => {
        for (const name of ["links", "path2"]) await mkdir(at(name), { recursive: true });
        storage = await CutStorage.mount(sandbox, at("vault"), [
          { place: at("links"), kind: "ext4", sizeMiB: 16 },
          { place: at("path1"), kind: "xfs", sizeMiB: 400 },
          { place: at("path2"), kind: "ext4", sizeMiB: 400 },
        ]);
        await symlink(at("path1"), at("links", "disks"));
        const disk = { storage: at("path1"), layers: [little], virtualMiB: 64 };
        return [through === "link" ? { ...disk, through: at("links", "disks") } : disk];
      },
    });
    assert(storage);
    return new CutMoments(await SlowSwitch.of(stage, through === "link" ? stage.at("links", "disks") : undefined), storage, through);
  }

  get stage(): Stage {
    return this.slow.stage;
  }

  /** A move that nothing happens to. */
  async moves(): Promise<void> {
    const { proxy } = this.slow;
    const trace = this.stage.at("trace");
    let strace: Strace | undefined;
    let taken: Promise<void> | undefined;
    const run = new AbortController();
    this.slow.atPending(async () => {
      const words = ["-f", "-e", `trace=${calls}`, "-e", `inject=${calls}:signal=STOP`];
      strace = await Strace.attach(await this.stage.sandbox.sshd.servedPids(), words, trace);
      taken = this.#takeEach(trace, run.signal);
      for (const command of ["job-finalize", "query-block"])
        proxy.before(command, async () => {
          await this.#take(`${command} is to come`);
          return "forward" as const;
        });
    });
    const { vda } = await this.slow.moves();
    run.abort();
    await taken;
    await strace?.detach();
    assert.equal(vda?.phase, "settled");
  }

  /** As the power is back: the three file systems, nobody who has anything open in them. */
  async cutAt({ number }: Moment): Promise<void> {
    await this.#end();
    await this.storage.cutTo(number);
  }

  /** Every moment: {@link isWhole}. @returns the side of each */
  async areWhole(): Promise<Map<Moment, string>> {
    const sides = new Map<Moment, string>();
    for (const moment of this.moments) {
      await this.cutAt(moment);
      sides.set(moment, await this.isWhole(moment));
    }
    return sides;
  }

  /** Names, manifests and image agree, and a boot finds every record. @returns the side */
  async isWhole({ after, acknowledged }: Moment): Promise<string> {
    const { stage } = this;
    const [found, currents] = [await this.#found(), await this.slow.currents()];
    const current = currents[0] ?? found ?? stage.at("path2", image); // where all is over, nothing is said of it any more
    assert(
      [found ?? current, ...currents].every((each) => each === current),
      `after ${after} a boot finds ${found}, and the manifests say ${currents}`,
    );
    const { lost, corrupt } = await checkImage(await this.#whereItIs(current), { ...stage.guest.disk(), acknowledged: () => acknowledged });
    assert.deepEqual([lost, corrupt], [[], []], `after ${after}, in ${current}`);
    return path.basename(path.dirname(current));
  }

  /** What a boot by the guest's command line finds. */
  async #found(): Promise<string | undefined> {
    const { stage, through } = this;
    if (through === "link") return realpath(stage.at("links", "disks", image));
    const name = stage.at("path1", image);
    return existsSync(name) ? name : undefined;
  }

  /** Without a link the image that is left has lost its name before the switch is decided: the next run gives it back. */
  async #whereItIs(current: string): Promise<string> {
    if (existsSync(current)) return current;
    const [left = current] = (await readdir(path.dirname(current))).filter((name) => name.startsWith(`${image}.lm-`));
    return path.join(path.dirname(current), left);
  }

  /** The power is cut then, the guest starts, by its own command line where that finds its image, and the next run ends the move. */
  async goesOnFrom(moment: Moment): Promise<void> {
    const { stage } = this;
    const { after, acknowledged } = moment;
    await this.cutAt(moment);
    const before = stage.guest.acknowledged();
    const [found, [current = stage.at("path2", image)]] = [await this.#found(), await this.slow.currents()];
    if (found === undefined && !existsSync(current)) return; // test/rows/cut-together.test.ts
    await stage.boot(found === undefined ? { vda: current } : {});
    await stage.guest.waitForRecords(5);
    const { vda } = await this.slow.moves();
    assert.equal(vda?.phase, "settled", after);
    if (this.through === "link") assert.equal(await readlink(stage.at("links", "disks")), stage.at("path2"), after);
    await stage.guest.waitForRecords(5);
    await this.#end();
    const disk = stage.guest.disk();
    const since = disk.acknowledged().filter((sequence) => sequence > before);
    const { lost, corrupt } = await checkImage(stage.at("path2", image), { ...disk, acknowledged: () => [...acknowledged, ...since] });
    assert.deepEqual([lost, corrupt], [[], []], after);
  }

  async #end(): Promise<void> {
    await closeAllHosts();
    await this.stage.operator.close();
    await this.stage.guest.kill();
  }

  /** Each that strace stops behind its call, until the run is over. */
  async #takeEach(trace: string, over: AbortSignal): Promise<void> {
    let seen = 0;
    while (!over.aborted) {
      const stops = stopsIn(readFileSync(trace, "utf8"));
      for (const { pid, call } of stops.slice(seen)) {
        await this.#take(call);
        process.kill(pid, "SIGCONT");
      }
      seen = stops.length;
      await pause(2);
    }
  }

  async #take(after: string): Promise<void> {
    const { guest } = this.stage;
    process.kill(guest.pid, "SIGSTOP");
    try {
      const acknowledged = [...guest.disk().acknowledged()];
      this.moments.push({ number: await this.storage.keep(), after, acknowledged });
    } finally {
      process.kill(guest.pid, "SIGCONT");
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.slow[Symbol.asyncDispose]();
  }
}

/** Who was stopped, and behind which call, in the order in which strace tells it. The other threads of a process stop with it: they are not told. */
function stopsIn(trace: string): { pid: number; call: string }[] {
  const calls = new Map<string, string>();
  const struck = new Set<string>();
  const stops: { pid: number; call: string }[] = [];
  for (const line of trace.split("\n").slice(0, -1)) {
    const [, pid = "", words = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (words.startsWith("--- SIGSTOP ")) struck.add(pid);
    else if (words === "--- stopped by SIGSTOP ---" && struck.delete(pid))
      stops.push({ pid: Number(pid), call: calls.get(pid) ?? "a call" });
    else if (/^\w/.test(words)) calls.set(pid, words);
  }
  return stops;
}
