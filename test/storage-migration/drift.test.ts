/** `onDrift`: what is said of a disk that somebody has moved by hand, and what is made of it. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import type { Properties } from "../../provider/lifecycle.js";
import { storageMigration } from "../../provider/storage-migration/lifecycle.js";
import { created, onStage, Recorder } from "./stage.js";

describe("a disk that was moved behind the resource's back", function () {
  this.timeout(120_000);
  const stage = onStage({
    disks: async (at) => {
      await mkdir(at("path3"));
      return [{ storage: at("path1") }, { storage: at("path1"), id: "vdb" }];
    },
  });
  const elsewhere = () => stage().at("path3", "old.qcow2");
  let id: string;
  let reporting: { inputs: Properties; outputs: Properties };

  before(async () => {
    const { inputs } = storageMigration.check({}, { ...stage().arguments, disks: ["vda", "vdb"], onDrift: "report" });
    const made = await created(storageMigration, inputs);
    id = made.id;
    reporting = { inputs, outputs: made.outputs };
    await stage().moves({ disks: ["vda"], destination: stage().at("path3") });
  });

  async function seen(outputs: Properties, run = new Recorder()) {
    const read = await storageMigration.read(id, outputs, run);
    assert(typeof read === "object");
    return { ...read, run };
  }

  it("is only reported with onDrift report: the inputs stay, `drift` says it, a warning is given, and there is no difference", async () => {
    const { inputs, outputs, run } = await seen(reporting.outputs);
    assert.deepEqual(inputs, reporting.inputs);
    assert.equal(outputs.destination, stage().at("path2"));
    assert.equal(outputs.drift, `vda is at ${elsewhere()}`);
    assert.deepEqual(run.said, [`warning: vda of ${stage().guest.qmpSocket} is at ${elsewhere()}, not in ${stage().at("path2")}.`]);
    assert.deepEqual(storageMigration.diff(id, outputs, inputs, run), { changes: false, replaces: [] });
  });

  it("is shown as another destination with onDrift correct, without a warning", async () => {
    const { inputs, outputs, run } = await seen({ ...reporting.outputs, onDrift: "correct" });
    assert.deepEqual(inputs, { ...reporting.inputs, onDrift: "correct", destination: stage().at("path3") });
    assert.equal(outputs.drift, `vda is at ${elsewhere()}`);
    assert.deepEqual(run.said, []);
  });

  it("is moved back by an update, whatever onDrift says, and the other disk is left where it is", async () => {
    const before = await stage().operator.activeImage("vdb");
    const { outputs } = await storageMigration.update(id, reporting.outputs, { ...reporting.inputs, stallSeconds: 300 }, new Recorder());
    assert.equal(outputs.drift, undefined);
    assert.equal(await stage().operator.activeImage("vda"), stage().at("path2", "old.qcow2"));
    assert.equal(await stage().operator.activeImage("vdb"), before);
    const { inputs, run } = await seen(outputs);
    assert.deepEqual([inputs.destination, run.said], [stage().at("path2"), []]);
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "old.qcow2"), "vda");
    await stage().holdsAll(stage().at("path2", "vdb-old.qcow2"), "vdb");
  });
});
