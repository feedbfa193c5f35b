import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { unsafeIn } from "./sent.js";
import { LibvirtStage } from "./stage.js";

describe("a move of a guest that libvirt manages", function () {
  this.timeout(180_000);

  it("is watched by a check that notices commands which lose data or end the guest", () => {
    const lost = ["blockcopy d vda --xml f --shallow --reuse-external --synchronous-writes", "blockcommit d vda --active --pivot"];
    assert.equal(unsafeIn(lost).length, 2);
    assert.equal(unsafeIn(["domstats --state --block --domain 'd'", "domblkinfo 'd' 'vda'", "domstats --state 'd'"]).length, 2);
    assert.equal(unsafeIn(["blockpull 'd' 'vda'"], ["vdb"]).length, 1);
    assert.deepEqual(unsafeIn(["blockpull 'd' 'vdb'"], ["vdb"]), []);
    assert.deepEqual(unsafeIn(["blockcopy d vda --xml f --shallow --transient-job", "blockcommit d vda --base b --top t"]), []);
  });

  for (const copyMode of ["background", "write-blocking"]) {
    it(`takes the whole chain along, live, and the next start finds it (${copyMode})`, async () => {
      await using stage = await LibvirtStage.open();
      const old = stage.at("path2/old.qcow2");
      await stage.guest.waitForRecords(20);
      const { vda } = await stage.moves({ copyMode });
      assert.deepEqual(await stage.places(), { live: old, inactive: old });
      assert.deepEqual(await stage.chainOf(old), [old, stage.at("path2/common.qcow2")]);
      assert.equal(vda?.bootPath, old);
      assert.equal(vda?.phase, "settled");
      console.log(`      pause ${vda?.pauseMs} ms; left: ${vda?.left?.join("; ")}`);
      assert(
        vda?.left?.some((line) => /by its full path: libvirt writes no relative names/.test(line)),
        String(vda?.left),
      );
      assert.deepEqual((await readdir(stage.at("path2"))).sort(), ["common.qcow2", "old.qcow2"]);
      assert.match((await readdir(stage.at("path1"))).sort().join(" "), /^common\.qcow2 old\.qcow2\.lm-[0-9a-f]{8}-\d+T\d+Z$/);
      await stage.survivesRestart(old);
      // the control: what is sent is what is looked at
      const copies = (await stage.virshLog.sent()).filter((line) => line.startsWith("blockcopy"));
      assert.equal(copies.length, 1);
      assert.match(copies[0] ?? "", /--shallow --transient-job/);
      assert.equal(copies[0]?.includes("--synchronous-writes"), copyMode === "write-blocking");
    });
  }
});
