/** A loop ends: waits that stand still, and steps that change nothing. */

import assert from "node:assert/strict";
import { mock } from "node:test";
import { isKind } from "../../provider/core/errors.js";
import { Watch } from "../../provider/reconciler/watch.js";

const looked = (phase = "mirroring", more: object = {}) => ({ disks: [{ disk: "vda", seen: { phase, ...more } }] });
const wait = { step: "wait" };

describe("the watch over a loop", () => {
  let now = 1000;
  before(() => {
    mock.method(performance, "now", () => now);
  });
  after(() => mock.restoreAll());

  it("lets a wait go on as long as something makes progress", () => {
    const watch = new Watch(600);
    for (let done = 0; done < 20; done++) {
      now += 599_000;
      watch.see(wait, looked("mirroring", { done }));
    }
  });

  it("ends a wait without progress once its time is over, and says where the disks are", () => {
    const watch = new Watch(600);
    watch.see(wait, looked());
    now += 600_000;
    watch.see(wait, looked());
    now += 1;
    assert.throws(
      () => watch.see(wait, looked()),
      (thrown) =>
        isKind(thrown, "user") &&
        /^Nothing has moved for 600 s \(vda is mirroring\)\. The guest runs on, and nothing is lost\./.test(thrown.message),
    );
  });

  it("starts its clock again when another step was taken in between", () => {
    const watch = new Watch(600);
    watch.see(wait, looked());
    now += 599_000;
    watch.see({ step: "continue" }, looked());
    now += 599_000;
    watch.see(wait, looked());
    now += 599_000;
    watch.see(wait, looked());
  });

  it("reports a bug where a step that is no wait was taken more than 20 times and changed nothing, however fast", () => {
    const watch = new Watch(600);
    for (let time = 0; time <= 20; time++) watch.see({ step: "copy" }, looked("copying"));
    assert.throws(
      () => watch.see({ step: "copy" }, looked("copying")),
      (thrown) => isKind(thrown, "bug") && /The step "copy" was taken 21 times and changed nothing/.test(thrown.message),
    );
  });

  it("lets a step that is no wait take any time", () => {
    const watch = new Watch(600);
    watch.see({ step: "copy" }, looked("copying"));
    now += 10_000_000;
    watch.see({ step: "copy" }, looked("copying"));
  });

  it("lets a wait be seen many times in a short time", () => {
    const watch = new Watch(600);
    for (let time = 0; time < 100; time++) watch.see(wait, looked());
  });
});
