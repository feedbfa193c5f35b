/** A suspend that libvirt is told late: the guest runs until then, and what comes to suspend it is not forgotten. */

import assert from "node:assert/strict";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { mourn } from "../../sandbox/processes.js";
import { created } from "../../storage-migration/stage.js";
import { struck } from "./alone.js";
import { LibvirtStage } from "./stage.js";
import { killWorker } from "./switch-processes.js";

const isRecorded = async (stage: LibvirtStage) => (await stage.libvirtd.virsh("dumpxml", stage.guest.name)).includes("livedisk:suspended");

const isSent = async (stage: LibvirtStage) => (await stage.virshLog.sent()).some((line) => line.startsWith("suspend '"));

describe("a guest of libvirt's whose suspend takes long", function () {
  this.timeout(240_000);

  it("runs until then, is switched after that, and runs on without a record", async () => {
    await using stage = await LibvirtStage.open();
    await stage.virshLog.delay("suspend '", 13);
    const moves = await stage.moves();
    assert.equal(moves.vda?.phase, "settled");
    assert.deepEqual([await stage.guest.state(), await isRecorded(stage)], ["running", false]);
    await stage.survivesRestart(stage.at("path2/old.qcow2"));
  });

  it("is switched by the host if the run and its worker are killed meanwhile, and the next run waits for that", async () => {
    await using stage = await LibvirtStage.open();
    await stage.virshLog.delay("suspend '", 8);
    await struck({
      news: stage.arguments,
      isThere: () => isSent(stage),
      async strike(run) {
        killWorker(stage);
        await mourn(run, "SIGKILL");
      },
    });
    assert.deepEqual([await stage.guest.state(), await isRecorded(stage)], ["running", true]);
    await created(storageMigration, stage.arguments);
    assert.deepEqual([await stage.guest.state(), await isRecorded(stage)], ["running", false]);
    await stage.survivesRestart(stage.at("path2/old.qcow2"));
  });
});
