import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { readdir } from "node:fs/promises";
import type { Properties } from "../../../provider/core/lifecycle.js";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { until } from "../../sandbox/command.js";
import { mourn } from "../../sandbox/processes.js";
import { created, Recorder } from "../../storage-migration/stage.js";
import { manifestsIn, struck } from "./alone.js";
import { LibvirtStage } from "./stage.js";
import { killWorker } from "./switch-processes.js";

interface Moment {
  settings: Properties;
  /** How a run is known to be there. */
  isThere(stage: LibvirtStage, lines: string): Promise<boolean>;
  /** What has most to do there. Other faults: faults.test.ts. */
  endings: readonly ("up" | "destroy")[];
}

const moments: Record<string, Moment> = {
  copy: { endings: ["destroy"], settings: { maxBytesPerSecond: 8 << 20 }, isThere: async (_, lines) => lines.includes("copying 2") },
  mirror: { endings: ["up"], settings: { maxBytesPerSecond: 8 << 20 }, isThere: async (_, lines) => lines.includes("mirroring") },
  switch: { endings: ["up", "destroy"], settings: {}, isThere: async (stage) => (await stage.guest.state()) === "paused" },
  tidy: {
    endings: ["up"],
    settings: {},
    isThere: async (stage) => (await readdir(stage.at("path1"))).some((name) => /^old\.qcow2\.lm-.*Z$/.test(name)),
  },
};

describe("a run through libvirt that is killed", function () {
  this.timeout(240_000);

  for (const [moment, { settings, isThere, endings }] of Object.entries(moments)) {
    for (const after of endings) {
      it(`in ${moment} is ended by the next ${after}, and nothing is lost`, async () => {
        await using stage = await LibvirtStage.open();
        await stage.virshLog.delayPivots(moment === "switch" ? 3 : 0);
        await killedAt(stage, { ...stage.arguments, ...settings }, (lines) => isThere(stage, lines));
        await letGoAlone(stage);
        const where = moment === "copy" || moment === "mirror" ? "path1" : "path2";
        const now = stage.at(where, "old.qcow2");
        assert.deepEqual(await stage.places(), { live: now, inactive: now });
        await stage.guest.waitForRecords(5);

        const inputs = storageMigration.check({}, stage.arguments).inputs;
        const path2 = stage.at("path2/old.qcow2");
        if (after === "up") await created(storageMigration, stage.arguments);
        else await storageMigration.delete("id", inputs, new Recorder());
        const active = after === "up" ? path2 : now;
        assert.deepEqual(await stage.places(), { live: active, inactive: active });
        assert.deepEqual((await readdir(stage.at("path2"))).sort(), active === path2 ? ["common.qcow2", "old.qcow2"] : []);
        if (active !== path2) assert.deepEqual((await readdir(stage.at("path1"))).sort(), ["common.qcow2", "old.qcow2"]);
        await stage.survivesRestart(active);
      });
    }
  }

  it("in a switch whose worker is killed too is carried to its end by the host", async () => {
    await using stage = await LibvirtStage.open();
    await stage.virshLog.delayPivots(4);
    const isThere = async () => (await stage.virshLog.sent()).some((line) => line.startsWith("blockjob --pivot '"));
    const strike = async (run: ChildProcess) => {
      killWorker(stage);
      await mourn(run, "SIGKILL");
    };
    await struck({ news: stage.arguments, isThere, strike });
    await letGoAlone(stage);
    const path2 = stage.at("path2/old.qcow2");
    assert.deepEqual(await stage.places(), { live: path2, inactive: path2 });
    await created(storageMigration, stage.arguments);
    await stage.survivesRestart(path2);
  });

  it("in a switch that takes long is carried to its end by the host, and a run meanwhile is refused or waits", async () => {
    await using stage = await LibvirtStage.open();
    await stage.virshLog.delayPivots(12);
    await killedAt(stage, stage.arguments, async () => (await stage.guest.state()) === "paused");
    const path2 = stage.at("path2/old.qcow2");
    await created(storageMigration, stage.arguments);
    assert.deepEqual(await stage.places(), { live: path2, inactive: path2 });
    assert.equal(await stage.guest.state(), "running");
    await stage.survivesRestart(path2);
  });
});

async function killedAt(stage: LibvirtStage, news: Properties, isThere: (lines: string) => Promise<boolean>): Promise<void> {
  await struck({ news, isThere, strike: (run) => mourn(run, "SIGKILL") });
  assert.equal((await manifestsIn(stage.at("path1"))).length, 1, "it had begun");
}

/** The host ends by itself what was begun in the switch. */
async function letGoAlone(stage: LibvirtStage): Promise<void> {
  await until(
    15,
    async () => ((await stage.guest.state()) === "running" ? true : undefined),
    () => "The guest is suspended still.",
  );
}
