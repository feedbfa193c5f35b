import assert from "node:assert/strict";
import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { oneLayer, rawImage, twoLayers } from "../../sandbox/disks.js";
import { Recorder } from "../../storage-migration/stage.js";
import { LibvirtStage } from "./stage.js";
import { stoppedAt } from "./stopped.js";

const strategy = "snapshot";
/** Slow enough to be met in the middle. */
const slow = { strategy, maxBytesPerSecond: 8 << 20 };

describe("strategy snapshot through libvirt", function () {
  this.timeout(300_000);

  for (const [collapse, copyMode] of [
    ["commit", "background"],
    ["pull", "write-blocking"],
  ] as const) {
    it(`with collapse ${collapse} and copy mode ${copyMode} ends on the same names, and the next start finds them`, async () => {
      await using stage = await LibvirtStage.open();
      const old = stage.at("path2/old.qcow2");
      const { vda } = await stage.moves({ strategy, collapse, copyMode });
      assert.equal(vda?.phase, "settled");
      assert.deepEqual(await stage.places(), { live: old, inactive: old });
      assert.deepEqual(await stage.chainOf(old), [old, stage.at("path2/common.qcow2")]);
      assert.deepEqual((await readdir(stage.at("path2"))).sort(), ["common.qcow2", "old.qcow2"]);
      assert.match((await readdir(stage.at("path1"))).sort().join(" "), /^common\.qcow2 old\.qcow2\.lm-[0-9a-f]{8}-\d+T\d+Z$/);
      // a commit leaves the copied header as it was; a pull writes one of libvirt's own
      const absolute = vda?.left?.some((line) => /by its full path: libvirt writes no relative names/.test(line));
      assert.equal(absolute, collapse === "pull", String(vda?.left));
      await stage.survivesRestart(old);
      const sent = await stage.virshLog.sent();
      assert.deepEqual(
        sent.filter((line) => line.startsWith("snapshot-create-as")).map((line) => /^.*--reuse-external/.exec(line)?.[0]),
        ["snapshot-create-as --disk-only --atomic --no-metadata --reuse-external"],
      );
      const shortened = sent.filter((line) => line.startsWith(collapse === "commit" ? "blockcommit" : "blockpull"));
      assert(shortened.length > 0 && shortened.every((line) => line.includes("'--base'")), shortened.join());
    });
  }

  it("with collapse none keeps the longer chain", async () => {
    await using stage = await LibvirtStage.open();
    const { vda } = await stage.moves({ strategy, collapse: "none" });
    assert.equal(vda?.chain.length, 3);
    const [active = ""] = vda.chain.map(({ path }) => path);
    assert.deepEqual(await stage.places(), { live: active, inactive: active });
    await stage.survivesRestart(active);
  });

  it("freezes several disks at one point in time, raw ones and others, and leaves those that stay as they are", async () => {
    const disks = (at: (...names: string[]) => string) => [
      { id: "vda", storage: at("path1"), layers: rawImage("a.raw"), virtualMiB: 128 },
      { id: "vdb", storage: at("path1"), layers: oneLayer("b,b.qcow2"), virtualMiB: 128 },
      { id: "vdc", storage: at("path1"), layers: twoLayers("c-") },
    ];
    await using stage = await LibvirtStage.open({ disks });
    const stays = stage.at("path1/c-old.qcow2");
    await mkdir(stage.at("path3"));
    const before = await stage.libvirtd.virsh("dumpxml", "--inactive", "web");
    const moves = await stage.moves({ strategy, disks: ["vda", "vdb"] });
    const places = { vda: stage.at("path2/a.raw"), vdb: stage.at("path2/b,b.qcow2"), vdc: stays };
    for (const [disk, place] of Object.entries(places)) assert.deepEqual(await stage.places(disk), { live: place, inactive: place });
    assert.equal(moves.vda?.chain[0]?.format, "raw");
    // but for the two sources the definition is what it was
    const after = await stage.libvirtd.virsh("dumpxml", "--inactive", "web");
    const withoutChains = (xml: string) => xml.replace(/\s*<backingStore[\s\S]*?(?=\s*<target)/g, "").replaceAll("path2/", "path1/");
    assert.equal(withoutChains(after), withoutChains(before));
    stage.standOnNothing = ["vda", "vdb"];
    const back = await stage.moves({ strategy, collapse: "pull", disks: ["vdb"], destination: stage.at("path3") });
    places.vdb = stage.at("path3/b,b.qcow2");
    assert.deepEqual(
      back.vdb?.chain.map(({ path }) => path),
      [places.vdb],
    );
    const freezes = (await stage.virshLog.sent()).filter((line) => line.startsWith("snapshot-create-as"));
    assert.equal(freezes.length, 2);
    assert.match(freezes[0] ?? "", /'--diskspec' 'vdc,snapshot=no'/);
    await stage.guest.waitForRecords(10);
    await stage.guest.destroy();
    for (const [disk, place] of Object.entries(places)) await stage.holdsAll(place, disk);
    await stage.guest.boot();
    await stage.guest.destroy();
    for (const [disk, place] of Object.entries(places)) await stage.holdsAll(place, disk);
  });
});

describe("strategy snapshot through libvirt that is given up", function () {
  this.timeout(300_000);
  let stage: LibvirtStage;
  beforeEach(async () => {
    stage = await LibvirtStage.open();
  });
  afterEach(() => stage?.[Symbol.asyncDispose]());

  for (const word of ["copying", { told: "blockcopy" }]) {
    it(`is undone from ${typeof word === "string" ? word : "mirroring"}: the source's exact chain, and nothing of ours`, async () => {
      const old = stage.at("path1/old.qcow2");
      const { ino } = await stat(old);
      await stage.virshLog.delay("blockcopy", 2);
      const outputs = await stoppedAt(word, stage, slow);
      const { live, inactive } = await stage.places();
      assert.match(String(live), /path1\/lm-[0-9a-f]{8}\.overlay\.qcow2$/);
      assert.equal(inactive, live);
      await stage.guest.waitForRecords(5);
      await storageMigration.delete("id", outputs, new Recorder());
      assert.deepEqual(await stage.places(), { live: old, inactive: old });
      assert.equal((await stat(old)).ino, ino);
      assert.deepEqual((await readdir(stage.at("path1"))).sort(), ["common.qcow2", "old.qcow2"]);
      assert.deepEqual(await readdir(stage.at("path2")), []);
      assert.deepEqual(await stage.chainOf(old), [old, stage.at("path1/common.qcow2")]);
      await stage.guest.waitForRecords(5);
    });
  }

  it("goes on at the next up, also when the guest was started anew meanwhile", async () => {
    await stage.virshLog.delay("blockcopy", 2);
    const copied = await stoppedAt("copying", stage, slow);
    await stage.guest.destroy();
    await stage.guest.boot(); // from the overlay, by its definition
    const { live: overlay = "" } = await stage.places();
    await definesAgain(stage, overlay, stage.at("path1/old.qcow2")); // as if libvirtd had been killed before it wrote the new one down
    await stage.virshLog.forget();
    const mirrored = await stoppedAt({ told: "blockcopy" }, stage, slow, copied);
    assert.deepEqual(await stage.places(), { live: overlay, inactive: overlay });
    const inputs = storageMigration.check({}, { ...stage.arguments, strategy }).inputs;
    const { outputs } = await storageMigration.update("id", mirrored, inputs, new Recorder());
    const old = stage.at("path2/old.qcow2");
    assert.deepEqual(await stage.places(), { live: old, inactive: old });
    assert.deepEqual((await readdir(stage.at("path2"))).sort(), ["common.qcow2", "old.qcow2"]);
    await storageMigration.delete("id", { ...inputs, ...outputs }, new Recorder());
    await stage.survivesRestart(old);
  });
});

async function definesAgain(stage: LibvirtStage, from: string, to: string): Promise<void> {
  const xml = await stage.libvirtd.virsh("dumpxml", "--inactive", "web");
  await writeFile(stage.at("again.xml"), xml.replaceAll(from, to));
  await stage.libvirtd.virsh("define", stage.at("again.xml"));
}
