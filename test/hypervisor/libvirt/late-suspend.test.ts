/** A suspend that is on its way for longer than the watchdog waits stops the guest after the watchdog has resumed it. */

import assert from "node:assert/strict";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { until } from "../../sandbox/command.js";
import { mourn } from "../../sandbox/processes.js";
import { created } from "../../storage-migration/stage.js";
import { struck } from "./alone.js";
import { LibvirtStage } from "./stage.js";
import { killScript } from "./switch-processes.js";

const isRecorded = async (stage: LibvirtStage) => (await stage.libvirtd.virsh("dumpxml", stage.guest.name)).includes("livedisk:suspended");

const isSent = async (stage: LibvirtStage) => (await stage.virshLog.sent()).some((line) => line.startsWith("suspend '"));

/** Until the guest runs and nothing tells of a switch. */
const runsUnrecorded = (stage: LibvirtStage, seconds: number) =>
  until(
    seconds,
    async () => ((await stage.guest.state()) === "running" && !(await isRecorded(stage))) || undefined,
    () => "The guest is suspended, or recorded as that.",
  );

describe("a guest of libvirt's whose suspend takes longer than the watchdog waits", function () {
  this.timeout(240_000);

  it("runs on, and is not recorded as suspended", async () => {
    await using stage = await LibvirtStage.open();
    await stage.virshLog.delay("suspend '", 13);
    const message = await created(storageMigration, stage.arguments).then(String, String);
    assert.match(message, /it took too long, the guest was let go before/);
    await stage.virshLog.delay("suspend '", 0);
    await runsUnrecorded(stage, 10);
    await created(storageMigration, stage.arguments);
    await stage.survivesRestart(stage.at("path2/old.qcow2"));
  });

  it("runs on, and is recorded until no suspend is on its way, if the script was killed before the answer", async () => {
    await using stage = await LibvirtStage.open();
    await stage.virshLog.delay("suspend '", 13);
    await struck({
      news: stage.arguments,
      isThere: () => isSent(stage),
      async strike(run) {
        killScript(stage);
        await mourn(run, "SIGKILL");
      },
    });
    let suspensions = 0;
    await until(
      30,
      async () => {
        const paused = (await stage.guest.state()) === "paused";
        assert(await isRecorded(stage), "The record has ended, and the suspend is on its way.");
        if (paused) suspensions++;
        return (suspensions > 0 && !paused) || undefined;
      },
      () => `The guest was ${suspensions > 0 ? "not resumed" : "never suspended"}.`,
    );
    await stage.virshLog.delay("suspend '", 0);
    await runsUnrecorded(stage, 60);
    await created(storageMigration, stage.arguments);
    await stage.survivesRestart(stage.at("path2/old.qcow2"));
  });
});
