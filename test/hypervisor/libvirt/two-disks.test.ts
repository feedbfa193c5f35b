import assert from "node:assert/strict";
import type { Properties } from "../../../provider/core/lifecycle.js";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { twoLayers } from "../../sandbox/disks.js";
import { created, Recorder, refusal } from "../../storage-migration/stage.js";
import { struck } from "./alone.js";
import { LibvirtStage } from "./stage.js";

const twoDisks = (at: (...names: string[]) => string) => [
  { id: "vda", storage: at("path1") },
  { id: "vdb", storage: at("path1"), layers: twoLayers("b-") },
];

describe("a guest of libvirt's with several disks", function () {
  this.timeout(240_000);

  it("moves two disks of two layers in one operation, and what burdens them is refused before", async () => {
    await using stage = await LibvirtStage.open({ disks: twoDisks });
    const { virsh } = { virsh: (...args: string[]) => stage.libvirtd.virsh(...args) };
    const wanted = { ...stage.arguments, disks: ["vda", "vdb"] };

    await virsh("checkpoint-create-as", "web", "since");
    assert.match(await refusal(storageMigration, wanted), /its domain has checkpoints \(since\).*"bitmaps" to `loses`/);
    assert.match(
      await refusal(storageMigration, { ...wanted, strategy: "snapshot", loses: ["bitmaps"] }),
      /its domain has checkpoints \(since\).*use strategy "mirror"/,
    );
    await virsh("checkpoint-delete", "web", "since");
    assert.match(await refusal(storageMigration, { ...wanted, link: "/x" }).catch(String), /link is for guests with a command line/);

    const moves = await stage.moves({ disks: ["vda", "vdb"] });
    const [a, b] = [stage.at("path2/old.qcow2"), stage.at("path2/b-old.qcow2")];
    assert.deepEqual(await stage.places("vda"), { live: a, inactive: a });
    assert.deepEqual(await stage.places("vdb"), { live: b, inactive: b });
    console.log(`      pause ${moves.vda?.pauseMs} ms`);
    assert.equal(moves.vda?.pauseMs, moves.vdb?.pauseMs);
    await stage.guest.waitForRecords(10);
    await stage.guest.destroy();
    await stage.holdsAll(a, "vda");
    await stage.holdsAll(b, "vdb");
    await stage.guest.boot();
    await stage.guest.destroy();
    await stage.holdsAll(a, "vda");
    await stage.holdsAll(b, "vdb");
  });

  for (const [where, other] of Object.entries({ "one process": inThisProcess, "two processes": inAnotherProcess }))
    it(`switches two disks one after the other, if two resources of ${where} move them at once`, async () => {
      await using stage = await LibvirtStage.open({ disks: twoDisks });
      await stage.virshLog.delayPivots(4);
      const moved = ["vda", "vdb"].map((disk) => ({ ...stage.arguments, disks: [disk] }));
      const [one = {}, two = {}] = moved;
      await Promise.all([created(storageMigration, one, new Recorder("urn:one")), other(two)]);
      const turns = (await stage.virshLog.sent()).flatMap((line) => /^(suspend|resume|blockjob --pivot) /.exec(line)?.[1] ?? []);
      assert.deepEqual(turns, ["suspend", "blockjob --pivot", "resume", "suspend", "blockjob --pivot", "resume"]);
      await stage.guest.waitForRecords(10);
      await stage.guest.destroy();
      await stage.holdsAll(stage.at("path2/old.qcow2"), "vda");
      await stage.holdsAll(stage.at("path2/b-old.qcow2"), "vdb");
    });
});

async function inThisProcess(news: Properties): Promise<void> {
  await created(storageMigration, news, new Recorder("urn:two"));
}

async function inAnotherProcess(news: Properties): Promise<void> {
  await struck({ news, isThere: async () => true, strike: async () => {} });
}
