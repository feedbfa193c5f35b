/** Raw images of devices that hand on a request of the guest's while its disk is switched: QEMU 7.2 ends then (bdrv_co_write_req_prepare()). */

import assert from "node:assert/strict";
import { rawImage } from "../sandbox/disks.js";
import { Stage } from "../storage-migration/stage.js";

describe("a raw image", function () {
  this.timeout(180_000);

  it("of a virtio disk without ioeventfd is refused, and its guest writes on", async () => {
    const deviceOptions = ["ioeventfd=off"];
    await using stage = await Stage.open({ disks: (at) => [{ storage: at("path1"), layers: rawImage(), deviceOptions }] });
    const refused: unknown = await stage.moves().catch((reason: unknown) => reason);
    await stage.guest.waitForRecords(5);
    assert.match(String(refused), /it is a raw image of the device .*Nothing was touched\. Give it to the guest as virtio-blk/);
  });
});
