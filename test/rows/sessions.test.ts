/** Hosts whose sshd allows one session, with and without forwarding of sockets: a whole move goes by that one. */

import assert from "node:assert/strict";
import { Stage } from "../storage-migration/stage.js";

describe("a host whose sshd allows one session", function () {
  this.timeout(180_000);

  for (const forwarding of ["yes", "no"])
    it(`and has AllowStreamLocalForwarding ${forwarding} has its guest's disk moved`, async () => {
      await using stage = await Stage.open({ sshd: { settings: { MaxSessions: "1", AllowStreamLocalForwarding: forwarding } } });
      const { vda } = await stage.moves();
      assert.equal(vda?.phase, "settled");
      await stage.guest.waitForRecords(5);
      await stage.guest.stop();
      await stage.holdsAll(stage.at("path2", "old.qcow2"));
    });
});
