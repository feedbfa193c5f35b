/** `onDrift`: what is said of a disk that somebody has moved by hand, and what is made of it. */

import assert from "node:assert/strict";
import { mkdir, realpath, symlink } from "node:fs/promises";
import type { Properties } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { created, onOwnStage, onStage, Recorder, type Stage } from "./stage.js";

const title = "a disk that was moved behind the resource's back";
let id: string;
let reporting: { inputs: Properties; outputs: Properties };

/** The disks of a resource that reports drift, one of which somebody has moved to `path3`. */
const guest = {
  disks: async (at: Stage["at"]) => {
    await mkdir(at("path3"));
    return [{ storage: at("path1") }, { storage: at("path1"), id: "vdb" }];
  },
};

async function movesByHand(stage: Stage): Promise<void> {
  const { inputs } = storageMigration.check({}, { ...stage.arguments, disks: ["vda", "vdb"], onDrift: "report" });
  const made = await created(storageMigration, inputs);
  id = made.id;
  reporting = { inputs, outputs: made.outputs };
  await stage.moves({ disks: ["vda"], destination: stage.at("path3") });
}

async function seen(outputs: Properties, run = new Recorder()) {
  const read = await storageMigration.read(id, outputs, run);
  assert(typeof read === "object");
  return { ...read, run };
}

describe(title, () => {
  const stage = onStage(guest, movesByHand);
  const elsewhere = () => stage().at("path3", "old.qcow2");

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
    const destination = `in several places: vda in ${stage().at("path3")}; vdb in ${stage().at("path2")}`;
    assert.deepEqual(inputs, { ...reporting.inputs, onDrift: "correct", destination });
    assert.equal(outputs.drift, `vda is at ${elsewhere()}`);
    assert.deepEqual(run.said, []);
  });

  it("is shown at the same place at every read, with onDrift report too", async () => {
    const once = await seen(reporting.outputs);
    const twice = await seen({ ...once.outputs, ...once.inputs });
    assert.deepEqual([twice.inputs, twice.outputs.drift, twice.run.said], [once.inputs, once.outputs.drift, once.run.said]);
  });

  it("is only reported when onDrift becomes report, though a refresh has shown where it is", async () => {
    const { inputs, outputs } = await seen({ ...reporting.outputs, onDrift: "correct" });
    await storageMigration.update(id, { ...outputs, ...inputs }, reporting.inputs, new Recorder());
    assert.equal(await stage().operator.activeImage("vda"), elsewhere());
  });

  it("is shown alike at every read of a state of version 0.1.0, which remembers nothing declared", async () => {
    const { declared: _, ...older }: Properties = { ...reporting.outputs, onDrift: "correct" };
    const once = await seen(older);
    const twice = await seen({ ...once.outputs, ...once.inputs });
    assert.deepEqual(twice.inputs, once.inputs);
  });
});

describe(title, () => {
  const stage = onOwnStage(guest, movesByHand);

  it("is moved back by an update, whatever onDrift says, and the other disk is left where it is", async () => {
    const before = await stage().operator.activeImage("vdb");
    const { outputs } = await storageMigration.update(id, reporting.outputs, { ...reporting.inputs, stallSeconds: 300 }, new Recorder());
    assert.equal(outputs.drift, undefined);
    assert.equal(await stage().operator.activeImage("vda"), stage().at("path2", "old.qcow2"));
    assert.equal(await stage().operator.activeImage("vdb"), before);
    const { inputs, run } = await seen(outputs);
    assert.deepEqual([inputs.destination, run.said], [stage().at("path2"), []]);
  });

  it("stays when the program names its place, however spelled, and the other disk comes to it", async () => {
    await symlink("path3", stage().at("alias"));
    const { inputs, outputs } = await seen({ ...reporting.outputs, onDrift: "correct" });
    const { inputs: now } = storageMigration.check({}, { ...reporting.inputs, destination: stage().at("alias") });
    const state = { ...outputs, ...inputs };
    assert.equal(storageMigration.diff(id, state, now, new Recorder()).changes, undefined);
    const updated = await storageMigration.update(id, state, now, new Recorder());
    assert.equal(await stage().operator.activeImage("vda"), stage().at("path3", "old.qcow2"));
    assert.equal(await realpath(await stage().operator.activeImage("vdb")), stage().at("path3", "vdb-old.qcow2"));
    const { inputs: shown, outputs: known } = await seen(updated.outputs);
    assert.deepEqual([shown.destination, known.drift], [stage().at("alias"), undefined]);
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path3", "old.qcow2"), "vda");
    await stage().holdsAll(stage().at("path3", "vdb-old.qcow2"), "vdb");
  });
});
