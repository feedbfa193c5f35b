/**
 * A run that falls asleep (SIGSTOP, as in a laptop whose lid is closed), and wakes when runs from another machine have moved the disk on and back:
 * all is again as the sleeper has last seen it.
 */

import assert from "node:assert/strict";
import { readlink, realpath, symlink } from "node:fs/promises";
import type { Properties } from "../../provider/core/lifecycle.js";
import { until } from "../sandbox/command.js";
import type { Gate, Passing, Verdict } from "../sandbox/gate.js";
import { HostProxy } from "../sandbox/host-proxy.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { snapshotOf } from "../storage-migration/snapshot.js";
import { Stage } from "../storage-migration/stage.js";
import { Runner } from "./runner.js";

/** Its holder of a lock is on no machine that the next one knows. SIGSTOP does nothing to the first process of a namespace, which is the shell. */
export const onAnotherMachine = [
  ...["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"],
  ...["sh", "-c", '"$@"; exit "$?"', "sh"],
] as const;

export type Side = "path1" | "path2";

/** So that there is time to meet a copy and a mirror. */
export const slow = { maxBytesPerSecond: 16_000_000 };

export interface Night {
  /** The run falls asleep while it … */
  doing: string;
  settings: Properties;
  destination: Side;
  /** It falls asleep with the first such line; `before removing`: as it asks the host for the first change of a file after it has closed nodes in QEMU. */
  at: RegExp | "before removing";
  /** What a run that was killed has begun before it. */
  begun?: RegExp;
  /** Where the others move the disk meanwhile. */
  others: readonly Side[];
}

interface Sleeper {
  run: Runner;
  wake(): Promise<void>;
}

/** Lets the host's changes wait once nodes have been closed. */
class Removals implements Gate {
  #isAwaited = false;
  readonly #come = Promise.withResolvers<void>();
  readonly #go = Promise.withResolvers<void>();

  await(): void {
    this.#isAwaited = true;
  }

  get come(): Promise<void> {
    return this.#come.promise;
  }

  go(): void {
    this.#go.resolve();
  }

  async before({ kind }: Passing): Promise<Verdict> {
    if (!this.#isAwaited || kind === "question") return "forward";
    this.#isAwaited = false;
    this.#come.resolve();
    await this.#go.promise;
    return "forward";
  }

  answered(): "release" {
    return "release";
  }
}

class Bedroom implements AsyncDisposable {
  private constructor(
    private readonly night: Night,
    readonly stage: Stage,
    private readonly removals: Removals,
    private readonly proxy: QmpProxy,
  ) {}

  static async open(night: Night): Promise<Bedroom> {
    const removals = new Removals();
    const hostProxy = night.at === "before removing" ? await HostProxy.listen(removals) : undefined; // it knows no sessions of 0.1.0
    const stage = await Stage.open({
      ...(hostProxy && { sshd: { settings: hostProxy.sshdSettings } }),
      disks: async (at) => {
        await symlink("path1", at("link"));
        return [{ storage: at("path1"), through: at("link") }];
      },
    });
    stage.sandbox.defer(() => hostProxy?.close());
    return new Bedroom(night, stage, removals, await QmpProxy.listen(stage.at("proxy.sock"), stage.guest.qmpSocket));
  }

  #settings(destination: Side, different: Properties = {}): Properties {
    const { stage, proxy } = this;
    const where = { domain: { qmp: proxy.path }, destination: stage.at(destination), link: stage.at("link") };
    return { ...stage.arguments, ...where, ...different };
  }

  async fallAsleep(): Promise<Sleeper> {
    const { at, begun, settings, destination } = this.night;
    if (begun) {
      const former = new Runner(this.#settings("path2", slow), onAnotherMachine);
      await former.says(begun);
      await former.kill();
    }
    const own = this.#settings(destination, settings);
    if (at !== "before removing") {
      const run = new Runner(own, onAnotherMachine, at);
      await run.says(at);
      return { run, wake: () => run.wake() };
    }
    this.proxy.before("blockdev-del", () => {
      this.removals.await();
      return "forward";
    });
    const run = new Runner(own, onAnotherMachine);
    await Promise.race([this.removals.come, run.ending]);
    await run.sleep();
    const wake = async () => {
      this.removals.go();
      await run.wake();
    };
    return { run, wake };
  }

  /** sshd has nothing left that it has started. Where that does not come, the operator ends the session that has the monitor, as they are told to. */
  async isLeftAlone(): Promise<void> {
    const { sshd } = this.stage.sandbox;
    const none = async () => ((await sshd.servedPids()).length === 0 ? true : undefined);
    await until(45, none, () => "").catch(() => this.proxy.cutAll());
  }

  /** By another process, which may have to come again: a lock or a monitor that is not free yet is refused in words. */
  async moves(destination: Side): Promise<void> {
    let said: string[] = [];
    for (let tries = 3; tries > 0; tries--) {
      const other = new Runner(this.#settings(destination));
      const late = setTimeout(() => void other.kill(), 60_000);
      const { failed } = await other.ending;
      clearTimeout(late);
      if (failed === "no") return;
      said = other.lines;
    }
    assert.fail(`Another run cannot begin: ${said.slice(-3).join("; ")}`);
  }

  async look(): Promise<unknown> {
    const { stage } = this;
    const active = await stage.operator.activeImage("vda");
    const busy = [await realpath(active), stage.at("serial.log"), stage.at("qemu.log")];
    return { active, link: await readlink(stage.at("link")), all: await snapshotOf([stage.folder], stage.operator, busy) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.close();
    await this.stage[Symbol.asyncDispose]();
  }
}

export const saysWhy =
  /^\w+: [^\n]*ended, and its locks with it, while this run was asleep for \d+ s: another run may have been at work there\. Run/;

/** A whole one, with the morning. */
async function pass(night: Night): Promise<void> {
  await using room = await Bedroom.open(night);
  const { run, wake } = await room.fallAsleep();
  try {
    await room.isLeftAlone();
    for (const side of night.others) await room.moves(side);
    const before = await room.look();
    assert(!run.isOver, run.lines.join("\n"));
    await wake();
    const ending = await run.ending;
    assert(ending.failed === "yes", `It went on to its end: ${run.lines.slice(-3).join("; ")}`);
    assert.deepEqual(await room.look(), before);
    assert.match(ending.message, saysWhy);
  } finally {
    await run.kill();
  }
  const { stage } = room;
  await stage.guest.waitForRecords(5);
  await stage.guest.stop();
  await stage.holdsAll(stage.at(night.others.at(-1) ?? "", "old.qcow2"));
}

/** A test for each, all at the same time: the longest part of each is the half minute until a worker ends without a word. */
export function passNights(nights: readonly Night[]): void {
  let passed: Map<Night, Promise<unknown>> | undefined;
  const outcome = (night: Night) => {
    passed ??= new Map(nights.map((each) => [each, pass(each).catch((reason: unknown) => reason)]));
    return passed.get(night);
  };
  for (const night of nights)
    it(`while it ${night.doing} changes nothing more when it wakes, says why, and no record is lost`, async () => {
      const failure = await outcome(night);
      if (failure !== undefined) throw failure;
    });
}
