/** The link lies in a file system of its own, which takes no more changes in a switch: for good, or for a while (more: test/rows/read-only-link.test.ts). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readlink, realpath } from "node:fs/promises";
import { LinkScene, staysWhereItWas } from "../rows/link-scene.js";
import { image } from "../rows/slow-switch.js";
import { until } from "../sandbox/command.js";

describe("a link whose file system takes no more changes in a switch", function () {
  this.timeout(240_000);

  staysWhereItWas({ how: "turns read-only", kind: "ext4", why: "Read-only file system", strike: (storage) => storage.turnReadOnly() });

  it("as it is frozen has the guest wait, and the switch ends when it is thawed", async () => {
    await using scene = await LinkScene.set("ext4");
    const { stage } = scene.slow;
    const { promise: frozen, resolve: isFrozen } = Promise.withResolvers<void>();
    scene.slow.atPending(() => scene.storage.freeze().then(isFrozen));
    const run = scene.slow.moves();
    await frozen;
    const waits = async () => (await stage.sandbox.sshd.servedPids()).some(isInKernel) || undefined;
    try {
      await until(60, waits, () => "Nobody waits for the frozen file system.");
      assert.equal(await readlink(scene.link), stage.at("path1"));
    } finally {
      await scene.storage.thaw();
    }
    assert.equal((await run).vda?.phase, "settled");
    await stage.guest.waitForRecords(5);
    assert.equal(await realpath(await stage.operator.activeImage("vda")), stage.at("path2", image));
    assert.equal(await readlink(scene.link), stage.at("path2"));
  });
});

/** It waits where no signal reaches it. */
function isInKernel(pid: number): boolean {
  return /^State:\s+D/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
}
