/** A libvirtd that ends in the middle of a switch, and comes back: the switch waits for it, says so, and ends, whatever else is killed meanwhile. */

import assert from "node:assert/strict";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { Runner } from "../adversity/runner.js";
import { asksInVain, defineByAlias, isAt, standsStill, whileDown } from "../hypervisor/libvirt/down.js";
import { LibvirtStage } from "../hypervisor/libvirt/stage.js";
import { until } from "../sandbox/command.js";
import { created, Recorder } from "../storage-migration/stage.js";

describe("a libvirtd that ends in the middle of a switch, and comes back", function () {
  this.timeout(240_000);

  it("is waited for though the run hangs, which resumes the guest; where QEMU is killed too, the user is told, and its next start finds every write", async () => {
    await using stage = await LibvirtStage.open();
    const runner = new Runner(stage.arguments);
    await whileDown(stage, () => runner.ending, {
      place: "before the resume",
      signal: "SIGKILL",
      async meanwhile() {
        runner.hang(); // without an end of its connection
        await standsStill(stage, 2);
      },
    });
    const isRunning = async () => ((await stage.guest.state()) === "running" ? true : undefined);
    await until(60, isRunning, () => "The guest is suspended still.");
    await runner.kill();
    await created(storageMigration, stage.arguments);
    await isAt(stage, "path2");

    const run = new Recorder();
    const back = { ...stage.arguments, destination: stage.at("path1") };
    await defineByAlias(stage, stage.at("path2/old.qcow2"));
    const { ended } = await whileDown(stage, () => created(storageMigration, back, run), {
      place: "after the pivot, before the definition",
      async meanwhile() {
        await stage.libvirtd.killGuestUnseen(stage.guest.name);
        await asksInVain(stage, 10);
      },
    });
    await assert.rejects(ended, /its QEMU ended in the middle.* A boot (finds|must use) .*path1\/old\.qcow2/);
    assert.match(run.lines.join("\n"), /vda switching: libvirt has not answered for 1\d s; the guest is suspended until it does/);
    await stage.guest.boot();
    assert.deepEqual(await stage.places(), { live: stage.at("path1/old.qcow2"), inactive: stage.at("path1/old.qcow2") });
    await stage.guest.waitForRecords(5);
    await created(storageMigration, back);
    await isAt(stage, "path1");
    await stage.guest.destroy();
    await stage.holdsAll(stage.at("path1/old.qcow2"));
  });
});
