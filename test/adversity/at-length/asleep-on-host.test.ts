/** What a run has on the host falls asleep (SIGSTOP): its locks stay with it, and whoever comes is told so. On libvirt a run that sleeps loses them. */

import assert from "node:assert/strict";
import { LibvirtStage } from "../../hypervisor/libvirt/stage.js";
import { until } from "../../sandbox/command.js";
import { snapshotOf } from "../../storage-migration/snapshot.js";
import { onOwnStage } from "../../storage-migration/stage.js";
import { onAnotherMachine, saysWhy, slow } from "../night.js";
import { Runner } from "../runner.js";

describe("a run's program on the host that is stopped while it copies", function () {
  this.timeout(300_000);
  const stage = onOwnStage();

  async function begin(): Promise<{ first: Runner; signal: (name: "SIGSTOP" | "SIGCONT") => void }> {
    const first = new Runner({ ...stage().arguments, maxBytesPerSecond: 4_000_000 });
    await first.says(/vda copying [2-9]\d %/); // it has given the monitor back, which is not asked for during a copy
    const pids = await stage().sandbox.sshd.servedPids();
    assert.notEqual(pids.length, 0);
    const signal = (name: "SIGSTOP" | "SIGCONT") => {
      for (const pid of pids) process.kill(pid, name);
    };
    signal("SIGSTOP");
    return { first, signal };
  }

  async function holdsAll(): Promise<void> {
    await stage().guest.waitForRecords(5);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "old.qcow2"));
  }

  it("has its locks still: another run is refused with who holds them, and when it is woken its own goes on", async () => {
    const { first, signal } = await begin();
    const second = new Runner(stage().arguments);
    const { failed, ...why } = await second.ending;
    assert(failed === "yes" && "message" in why);
    assert.match(
      String(why.message),
      /another run holds the lock \([0-9a-f]{16}, process \d+ on .*\)\. Nothing was touched\. Let it end, then run/,
    );
    signal("SIGCONT");
    assert.deepEqual(await first.ending, { failed: "no" }, first.lines.slice(-3).join("\n"));
    await holdsAll();
  });

  it("has them after its run was killed: another one waits and is refused with that, and goes on once it is woken, which ends it", async () => {
    const { first, signal } = await begin();
    await first.kill();
    const second = new Runner(stage().arguments);
    const { failed, ...why } = await second.ending;
    assert(failed === "yes" && "message" in why);
    assert.match(String(why.message), /another run holds the lock .*It has ended, but a program that it began on \S+ goes on\./);
    assert(second.lines.some((line) => /waits for the lock of a run on/.test(line)));
    signal("SIGCONT");
    assert.equal((await stage().moves()).vda?.phase, "settled");
    await holdsAll();
  });
});

describe("a run on libvirt that falls asleep while it mirrors, as others move the disk there and back,", function () {
  this.timeout(300_000);

  it("changes nothing more when it wakes, says why, and no record is lost", async () => {
    await using stage = await LibvirtStage.open();
    const sleeper = new Runner({ ...stage.arguments, ...slow }, onAnotherMachine, /vda mirroring/);
    await sleeper.says(/vda mirroring/);
    const isAlone = async () => ((await stage.sandbox.sshd.servedPids()).length === 0 ? true : undefined);
    await until(60, isAlone, () => "Its program on the host does not end.");
    for (const side of ["path2", "path1"]) {
      const other = new Runner({ ...stage.arguments, destination: stage.at(side) });
      assert.deepEqual(await other.ending, { failed: "no" }, other.lines.slice(-3).join("\n"));
    }
    const image = stage.at("path1/old.qcow2");
    const look = async () => ({
      places: await stage.places(),
      files: await snapshotOf(
        ["path1", "path2"].map((side) => stage.at(side)),
        undefined,
        [image],
      ),
    });
    const before = await look();
    assert(!sleeper.isOver);
    await sleeper.wake();
    const ending = await sleeper.ending;
    assert(ending.failed === "yes", sleeper.lines.slice(-3).join("\n"));
    assert.deepEqual(await look(), before);
    assert.match(ending.message, saysWhy);
    await stage.survivesRestart(image);
  });
});
