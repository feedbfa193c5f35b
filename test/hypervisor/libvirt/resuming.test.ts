/** How long a guest is resumed that a switch has left suspended. */

import assert from "node:assert/strict";
import { isKind } from "../../../provider/core/errors.js";
import { letGo } from "../../../provider/hypervisor/libvirt/resuming.js";
import { SwiftWorld } from "../../world.js";
import { type Answers, ScriptedVirsh } from "./scripted-virsh.js";

const suspended: Answers = {
  blockjob: "",
  domjobinfo: "Job type:         None\n\n",
  domstate: "paused (user)",
  resume: { refused: "cannot acquire state change lock" },
  metadata: "",
};

describe("a suspended guest", () => {
  it("that libvirt does not resume is given up when the deadline is over, with the state that it is in", async () => {
    const world = new SwiftWorld();
    const going = letGo(new ScriptedVirsh(suspended, world), "web", { disk: "vda", deadline: world.clock() + 200 });
    await assert.rejects(
      going,
      (thrown) => isKind(thrown, "user") && /libvirt answers "its domain is paused \(user\)"/.test(thrown.message),
    );
    assert.equal(world.clock(), 201);
  });

  it("is resumed as soon as libvirt does it", async () => {
    const world = new SwiftWorld();
    const answers = { ...suspended };
    world.after(60, () => Object.assign(answers, { resume: "", domstate: "running (unpaused)" }));
    assert.equal(await letGo(new ScriptedVirsh(answers, world), "web", { disk: "vda", deadline: 200 }), "running (unpaused)");
    assert.equal(world.clock(), 60);
  });
});
