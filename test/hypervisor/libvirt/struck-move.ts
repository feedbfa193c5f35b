/** A move of a guest of libvirt's with a fault in its middle. */

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { readdir } from "node:fs/promises";
import type { Properties } from "../../../provider/core/lifecycle.js";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { until } from "../../sandbox/command.js";
import { mourn } from "../../sandbox/processes.js";
import { created, Recorder } from "../../storage-migration/stage.js";
import { type Struck, struck } from "./alone.js";
import { LibvirtStage } from "./stage.js";

export type Fault = "the run is killed" | "its SSH connection is cut" | "QEMU is killed" | "libvirtd is killed";

/** Where a run is struck: what it has said, or where the guest is. */
export type Moment = (move: StruckMove, lines: string) => Promise<boolean>;

/** Slow enough to be met in the middle. */
const slow = { maxBytesPerSecond: 8 << 20 };

/** `delays`: what virsh is told three seconds late, so that there is time to look. */
export const moments: Readonly<Record<MomentName, { settings?: Properties; delays?: string; isThere: Moment }>> = {
  "the copy": { settings: slow, isThere: async (_, lines) => lines.includes("copying") },
  "the mirror": { settings: slow, isThere: async (_, lines) => lines.includes("mirroring") },
  "the freeze": {
    delays: "snapshot-create-as",
    async isThere({ stage }) {
      const { live, inactive } = await stage.places();
      return /overlay\.qcow2$/.test(String(inactive)) && /old\.qcow2$/.test(String(live));
    },
  },
  "the switch": { delays: "--pivot", isThere: ({ stage }) => isPaused(stage) },
  "the collapse": {
    delays: "blockcommit",
    isThere: async ({ stage }) => (await stage.virshLog.sent()).some((line) => line.startsWith("blockcommit")),
  },
  "the switch of the collapse": {
    delays: "--pivot",
    isThere: async ({ stage }) => (await isPaused(stage)) && String((await stage.places()).live).startsWith(stage.at("path2/lm-")),
  },
};

export type MomentName = "the copy" | "the mirror" | "the freeze" | "the switch" | "the collapse" | "the switch of the collapse";

export class StruckMove implements AsyncDisposable {
  private constructor(
    readonly stage: LibvirtStage,
    private readonly different: Properties,
  ) {}

  static async open(different: Properties = {}): Promise<StruckMove> {
    return new StruckMove(await LibvirtStage.open(), { afterwards: "delete", ...different });
  }

  arguments(more: Properties = {}): Properties {
    return { ...this.stage.arguments, ...this.different, ...more };
  }

  /** A move that is struck, and then ended by `after`. The guest writes on all the time, and comes back from its definition with every record. */
  async goes(moment: MomentName, fault: Fault, after: "up" | "destroy"): Promise<void> {
    const { stage } = this;
    const { settings = {}, delays = "", isThere } = moments[moment];
    await stage.virshLog.delay(delays, delays === "" ? 0 : 3);
    await this.struck(fault, { news: this.arguments(settings), isThere: (lines) => isThere(this, lines) });
    await stage.virshLog.delay(delays, 0);
    // the next run may come before a switch has ended by itself
    if (fault !== "the run is killed" || delays !== "--pivot") await this.runsWhereItIsDefined();
    await this.ends(after);
  }

  async struck(fault: Fault, run: Omit<Struck, "strike" | "mend">): Promise<void> {
    const { stage } = this;
    const strikes: Record<Fault, Pick<Struck, "strike" | "mend">> = {
      "the run is killed": { strike: (child: ChildProcess) => mourn(child, "SIGKILL") },
      "its SSH connection is cut": {
        strike: async () => {
          for (const pid of await stage.sandbox.sshd.sessionPids()) process.kill(pid, "SIGKILL");
        },
      },
      "QEMU is killed": { strike: () => stage.libvirtd.killGuest(stage.guest.name) },
      "libvirtd is killed": { strike: () => stage.libvirtd.kill(), mend: () => stage.libvirtd.launch() },
    };
    await struck({ ...run, ...strikes[fault] });
  }

  /** By itself: a switch that was cut ends on the host, and the next start finds what the guest has written. */
  async runsWhereItIsDefined(): Promise<void> {
    const { stage } = this;
    if ((await stage.guest.state()) === "shut off") await stage.guest.boot();
    await until(
      30,
      async () => ((await stage.guest.state()) === "running" ? true : undefined),
      () => "The guest is suspended still.",
    );
    const { live, inactive } = await stage.places();
    assert.equal(inactive, live);
    await stage.guest.waitForRecords(5);
  }

  private async ends(after: "up" | "destroy"): Promise<void> {
    const { stage } = this;
    if (after === "up") await created(storageMigration, this.arguments());
    else await storageMigration.delete("id", storageMigration.check({}, this.arguments()).inputs, new Recorder());
    const { live } = await stage.places();
    const active = stage.at(live?.startsWith(stage.at("path2")) ? "path2" : "path1", "old.qcow2");
    if (after === "up") assert.equal(active, stage.at("path2/old.qcow2"));
    assert.deepEqual(await stage.places(), { live: active, inactive: active });
    assert.deepEqual(await this.strangersIn("path1"), []);
    assert.deepEqual(await this.strangersIn("path2"), []);
    await stage.guest.waitForRecords(5);
    await stage.guest.destroy();
    await stage.holdsAll(active);
  }

  /** A lower layer that other disks may stand on stays where it is. */
  private async strangersIn(folder: string): Promise<string[]> {
    return (await readdir(this.stage.at(folder))).filter((name) => name !== "common.qcow2" && name !== "old.qcow2");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stage[Symbol.asyncDispose]();
  }
}

async function isPaused(stage: LibvirtStage): Promise<boolean> {
  return (await stage.guest.state()) === "paused";
}
