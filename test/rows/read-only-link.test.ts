/**
 * The link lies in a file system of its own, which fails in the middle of a switch. Guest, link and manifests agree all the same. What 0.1.0
 * did right too: test/storage-migration/failing-storage.test.ts.
 */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readlink } from "node:fs/promises";
import path from "node:path";
import { until } from "../sandbox/command.js";
import { LinkScene, staysWhereItWas } from "./link-scene.js";
import { image } from "./slow-switch.js";

describe("a link whose file system fails in a switch", function () {
  this.timeout(240_000);

  staysWhereItWas({ how: "shuts down", kind: "xfs", why: "Input/output error", strike: (storage) => storage.shutDown() });

  it("as it turns read-only right after the link is re-pointed has the guest go over, no boot finds what it has left, and the next up ends the move", async () => {
    await using scene = await LinkScene.set("ext4");
    scene.slow.slowFromPending("syncs");
    const run = scene.slow.moves();
    await until(
      60,
      () => scene.isRepointed(),
      () => "The link was never re-pointed.",
    );
    await scene.storage.turnReadOnly();
    await scene.slow.atFullSpeed();
    assert.match(await scene.fails(run), /Read-only file system/);
    await scene.isAt("path2");
    await scene.storage.mountAnew();
    // it was not safely there, so a power cut takes it back
    assert.equal(await readlink(scene.link), scene.slow.stage.at("path1"));
    assert(!existsSync(path.join(scene.link, image)), "a boot finds an image that takes no writes any more");
    await scene.endsWell();
  });
});
