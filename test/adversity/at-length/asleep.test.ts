/** Runs that are stopped (SIGSTOP, a laptop that sleeps) right before they remove files, or while they hold a domain's lock on the host. */

import assert from "node:assert/strict";
import { type ChildProcess, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { struck } from "../../hypervisor/libvirt/alone.js";
import { LibvirtStage } from "../../hypervisor/libvirt/stage.js";
import { killSwitch } from "../../hypervisor/libvirt/switch-processes.js";
import { until } from "../../sandbox/command.js";
import { mourn } from "../../sandbox/processes.js";
import { created, refusal } from "../../storage-migration/stage.js";
import { passNights } from "../night.js";

/** @returns whether a process holds the lock of the domain's switch */
const isHeld = async (stage: LibvirtStage) => {
  const uuid = (await stage.libvirtd.virsh("domuuid", stage.guest.name)).trim();
  const lock = `/run/pulumi-livedisk-${uuid}.lock`;
  return existsSync(lock) && spawnSync("flock", ["-n", lock, "true"]).status !== 0;
};

/** @returns whether a process holds the move's own lock at the source */
const isLocked = (stage: LibvirtStage) => {
  const lock = readdirSync(stage.at("path1")).find((name) => name.endsWith(".lock"));
  return lock !== undefined && spawnSync("flock", ["-n", stage.at("path1", lock), "true"]).status !== 0;
};

describe("a run that falls asleep as it resumes a guest that a cut switch has left suspended", function () {
  this.timeout(500_000);

  it("keeps its locks for half a minute only; a run meanwhile is refused, and the one after that resumes the guest", async () => {
    await using stage = await LibvirtStage.open();
    await stage.virshLog.delayPivots(20);
    const pivots = async () => (await stage.virshLog.sent()).some((line) => line.startsWith("blockjob --pivot '"));
    const strike = async (run: ChildProcess) => {
      await killSwitch(stage);
      await mourn(run, "SIGKILL");
    };
    await struck({ news: stage.arguments, isThere: pivots, strike });
    // long enough for a loaded machine to see the lock held and to stop the run while it is
    await stage.virshLog.delay("blockjob --raw", 15);
    const sleeper = Promise.withResolvers<ChildProcess>();
    const asleep = struck({
      news: stage.arguments,
      isThere: () => isHeld(stage),
      async strike(run) {
        run.kill("SIGSTOP");
        sleeper.resolve(run);
      },
    });
    asleep.catch(sleeper.reject);
    const run = await sleeper.promise;
    try {
      await stage.virshLog.delay("blockjob --raw", 0);
      assert.match(await refusal(storageMigration, stage.arguments), /another run holds the lock/);
      await until(
        90,
        async () => (!(await isHeld(stage)) && !isLocked(stage)) || undefined,
        () => "The locks are held still.",
      );
      await created(storageMigration, stage.arguments);
      assert.equal(await stage.guest.state(), "running");
    } finally {
      await mourn(run, "SIGKILL");
    }
    await stage.survivesRestart(stage.at("path2/old.qcow2"));
  });
});

describe("a run that falls asleep, while others move the disk on,", function () {
  this.timeout(300_000);

  passNights([
    {
      doing: "is about to remove the image that the guest has left",
      settings: { afterwards: "delete" },
      destination: "path2",
      at: "before removing",
      others: ["path1"],
    },
    {
      doing: "is about to remove what it takes back",
      settings: {},
      destination: "path1",
      begun: /vda mirroring/,
      at: "before removing",
      others: ["path2"],
    },
  ]);
});
