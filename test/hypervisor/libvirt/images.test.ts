import assert from "node:assert/strict";
import { oneLayer, rawImage, threeLayers } from "../../sandbox/disks.js";
import { LibvirtStage } from "./stage.js";

describe("images of every kind", function () {
  this.timeout(240_000);

  it("move through libvirt: raw, without a backing file, with a base that stays", async () => {
    const disks = (at: (...names: string[]) => string) => [
      { id: "vda", storage: at("path1"), layers: rawImage("a.raw"), virtualMiB: 128 },
      { id: "vdb", storage: at("path1"), layers: oneLayer("b.qcow2"), virtualMiB: 128 },
      { id: "vdc", storage: at("path1"), layers: threeLayers("c-"), virtualMiB: 128 },
    ];
    await using stage = await LibvirtStage.open({ disks });
    const moves = await stage.moves({ disks: ["vda", "vdb"] });
    const kept = await stage.moves({ disks: ["vdc"], keepBase: stage.at("path1/c-base.qcow2"), copyMode: "write-blocking" });
    const places = { vda: stage.at("path2/a.raw"), vdb: stage.at("path2/b.qcow2"), vdc: stage.at("path2/c-top.qcow2") };
    for (const [disk, place] of Object.entries(places)) assert.deepEqual(await stage.places(disk), { live: place, inactive: place });
    assert.equal(moves.vda?.chain[0]?.format, "raw");
    assert.deepEqual(
      kept.vdc?.chain.map(({ path }) => path),
      [places.vdc, stage.at("path2/c-middle.qcow2"), stage.at("path1/c-base.qcow2")],
    );
    await stage.guest.waitForRecords(10);
    await stage.guest.destroy();
    for (const [disk, place] of Object.entries(places)) await stage.holdsAll(place, disk);
    await stage.guest.boot();
    for (const [disk, place] of Object.entries(places)) assert.equal((await stage.places(disk)).live, place);
    await stage.guest.destroy();
    for (const [disk, place] of Object.entries(places)) await stage.holdsAll(place, disk);
  });
});
