/** A link that is not this guest's alone. */

import { symlink } from "node:fs/promises";
import { oneLayer } from "../sandbox/disks.js";
import { onStage } from "../storage-migration/stage.js";

describe("a link through which another guest finds its disk too", function () {
  this.timeout(180_000);
  const stage = onStage({
    disks: async (at) => {
      await symlink("path1", at("disks"));
      return [{ storage: at("path1"), through: at("disks") }];
    },
  });

  it("leads that guest to its disk also after a move of this one", async () => {
    const storage = stage().at("path1");
    const disks = [{ storage, layers: oneLayer("other.qcow2"), through: stage().at("disks") }];
    const other = await stage().sandbox.startGuest({ name: "other", disks });
    await stage()
      .moves({ link: stage().at("disks") })
      .catch(() => {});
    await other.kill();
    await other.boot();
    await other.waitForRecords(1);
  });
});
