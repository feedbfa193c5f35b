/** Link, source and destination lie in three file systems, and the power is cut in the switch: what had come to the disks by then is whole. */

import assert from "node:assert/strict";
import { CutMoments } from "./cut-moments.js";

describe("a power cut in a switch over three file systems", function () {
  this.timeout(400_000);

  it("leaves link, manifests and image on one side with every record, at each call that changes names or syncs; the next up goes on from there", async () => {
    await using scene = await CutMoments.set();
    await scene.moves();
    const sides = await scene.areWhole();
    const switched = [...sides].findIndex(([, side]) => side === "path2");
    assert.deepEqual(
      [...sides.values()],
      Array.from(sides, (_, index) => (index < switched ? "path1" : "path2")),
      "it went back and forth",
    );
    const around = scene.moments.slice(switched - 1, switched + 1);
    assert.equal(around.length, 2);
    for (const moment of around) await scene.goesOnFrom(moment);
  });
});
