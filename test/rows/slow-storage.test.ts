/** Storage that takes seconds in the middle of a switch: the switch takes as long as that, and nobody else is touched. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { created } from "../storage-migration/stage.js";
import { image, SlowSwitch } from "./slow-switch.js";

describe("a switch whose renames take 1.5 s each", function () {
  this.timeout(240_000);

  it("ends, and the move of another guest of the host by the same process goes on meanwhile", async () => {
    await using scene = await SlowSwitch.set("link");
    const { stage } = scene;
    const other = await stage.sandbox.startGuest({ name: "other" });
    const place = `${stage.folder}-other`;
    await mkdir(place);
    const settings = { host: stage.sandbox.host, domain: { qmp: other.qmpSocket }, disks: ["vda"], destination: place };
    scene.slowFromPending();
    const [one, two] = await Promise.allSettled([
      scene.moves(),
      // common.qcow2 has 64 MiB: it is copied still when the switch is over
      created(storageMigration, { ...settings, maxBytesPerSecond: 8_000_000 }),
    ]);
    assert.deepEqual([one.status, two.status], ["fulfilled", "fulfilled"], JSON.stringify([one, two]));
    await stage.guest.waitForRecords(5);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2", image));
  });
});
