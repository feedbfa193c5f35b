/** A loop ends: waits that stand still, and steps that change nothing. */

import assert from "node:assert/strict";
import { isKind } from "../../provider/core/errors.js";
import { Watch } from "../../provider/reconciler/watch.js";
import { HandWorld } from "../world.js";

const looked = (phase = "mirroring", more: object = {}) => ({ disks: [{ disk: "vda", seen: { phase, ...more } }] });
const wait = { step: "wait" };

describe("the watch over a loop", () => {
  let world: HandWorld;
  beforeEach(() => {
    world = new HandWorld();
  });

  it("lets a wait go on as long as something makes progress", async () => {
    const watch = new Watch(600, world);
    for (let done = 0; done < 20; done++) {
      await world.pass(599);
      watch.see(wait, looked("mirroring", { done }));
    }
  });

  it("ends a wait without progress once its time is over, and says where the disks are", async () => {
    const watch = new Watch(600, world);
    watch.see(wait, looked());
    await world.pass(600);
    watch.see(wait, looked());
    await world.pass(0.001);
    assert.throws(
      () => watch.see(wait, looked()),
      (thrown) =>
        isKind(thrown, "user") &&
        /^Nothing has moved for 600 s \(vda is mirroring\)\. The guest runs on, and nothing is lost\./.test(thrown.message),
    );
  });

  it("starts its clock again when another step was taken in between", async () => {
    const watch = new Watch(600, world);
    watch.see(wait, looked());
    await world.pass(599);
    watch.see({ step: "continue" }, looked());
    await world.pass(599);
    watch.see(wait, looked());
    await world.pass(599);
    watch.see(wait, looked());
  });

  it("reports a bug where a step that is no wait was taken more than 20 times and changed nothing, however fast", () => {
    const watch = new Watch(600, world);
    for (let time = 0; time <= 20; time++) watch.see({ step: "copy" }, looked("copying"));
    assert.throws(
      () => watch.see({ step: "copy" }, looked("copying")),
      (thrown) => isKind(thrown, "bug") && /The step "copy" was taken 21 times and changed nothing/.test(thrown.message),
    );
  });

  it("lets a step that is no wait take any time", async () => {
    const watch = new Watch(600, world);
    watch.see({ step: "copy" }, looked("copying"));
    await world.pass(10_000);
    watch.see({ step: "copy" }, looked("copying"));
  });

  it("lets a wait be seen many times in a short time", () => {
    const watch = new Watch(600, world);
    for (let time = 0; time < 100; time++) watch.see(wait, looked());
  });
});
