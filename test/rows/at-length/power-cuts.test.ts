/** The power is cut at each call of a switch over three file systems, and the next run goes on (a few: ../three-file-systems.test.ts). */

import assert from "node:assert/strict";
import { CutMoments } from "../cut-moments.js";

describe("a power cut at each call of a switch over three file systems", function () {
  this.timeout(1_200_000);

  it("leaves a guest that starts by its command line, and the next up ends the move", async () => {
    await using scene = await CutMoments.set();
    await scene.moves();
    for (const moment of scene.moments) await scene.goesOnFrom(moment);
    assert(scene.moments.length > 20, `${scene.moments.length} calls`);
  });
});
