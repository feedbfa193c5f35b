/** The power is cut at each call of a switch over three file systems, and the next run goes on (a few: ../three-file-systems.test.ts). */

import assert from "node:assert/strict";
import { CutMoments } from "../cut-moments.js";

describe("a power cut at each call of a switch over three file systems", function () {
  this.timeout(1_200_000);

  for (const through of ["link", "name"] as const)
    it(`through the disk's ${through} leaves a guest that starts with every record, and the next up ends the move`, async () => {
      await using scene = await CutMoments.set(through);
      await scene.moves();
      assert(scene.moments.length > 20, `${scene.moments.length} calls`);
      await scene.areWhole();
      for (const moment of scene.moments) await scene.goesOnFrom(moment);
    });
});
