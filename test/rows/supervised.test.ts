/**
 * QEMU ends in the middle of a switch, while storage takes seconds for each rename, and a supervisor starts it again at once by the same
 * command line. A boot, `current` and the QEMU that runs then must agree.
 */

import assert from "node:assert/strict";
import { readlink, realpath } from "node:fs/promises";
import path from "node:path";
import { image, SlowSwitch } from "./slow-switch.js";

describe("a guest whose QEMU ends in a slow switch and is started again at once", function () {
  this.timeout(300_000);

  for (const through of ["link", "name"] as const)
    it(`through its ${through} runs, by its own or when it is started from \`current\`, on what the manifests name, and loses nothing`, async () => {
      await using scene = await SlowSwitch.set(through);
      const { stage } = scene;
      scene.slowFromPending();
      const over = scene.moves().catch((thrown: unknown) => thrown);
      const state = await scene.dieAndStart(over);
      await over;
      await scene.atFullSpeed();
      const currents = await scene.currents();
      assert.equal(currents.length, 1, currents.join(", "));
      const [current = ""] = currents;
      if (state === "running") assert.equal(await realpath(await stage.operator.activeImage("vda")), current);
      else await stage.boot({ vda: current });
      if (through === "link") assert.equal(await readlink(stage.at("link")), path.dirname(current));
      await stage.guest.waitForRecords(5);
      const { vda } = await scene.moves();
      assert.equal(vda?.phase, "settled");
      await stage.guest.waitForRecords(5);
      await stage.guest.stop();
      await stage.holdsAll(stage.at("path2", image));
    });
});
