/** Strategy snapshot of raw images: an overlay is always a qcow2, what lies below it is not. */

import { rawImage } from "../sandbox/disks.js";
import { onStage } from "../storage-migration/stage.js";

describe("a raw image with strategy snapshot", function () {
  this.timeout(120_000);
  const stage = onStage({ disks: (at) => [{ storage: at("path1"), layers: rawImage() }] });

  it("is moved with collapse commit, and holds every record at the destination", async () => {
    await stage().moves({ strategy: "snapshot", restartDuringMove: "from-manifest" });
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "disk.raw"));
  });
});
