/** Several disks, one of them moved by hand, as an engine sees them: refreshed again and again, previewed, brought home. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { oneLayer } from "../sandbox/disks.js";
import { Stage } from "../storage-migration/stage.js";
import { changesOf, type Declared, DeclaredStack, placeOf, plansIn, stored } from "./declared.js";

describe("several disks, one of them moved by hand, in a stack", function () {
  this.timeout(240_000);
  let stage: Stage;
  let stack: DeclaredStack;
  beforeEach(async () => {
    const disks = (at: Stage["at"]) =>
      ["vda", "vdb"].map((id) => ({ id, storage: at("path1"), layers: oneLayer(`${id}.qcow2`), virtualMiB: 256 }));
    stage = await Stage.open({ sandboxName: "several", disks });
    await mkdir(stage.at("path3"));
    stack = new DeclaredStack(stage.sandbox);
    await stack.must("up", program());
    await stage.moves({ disks: ["vda"], destination: stage.at("path3") });
  });
  afterEach(() => stage?.[Symbol.asyncDispose]());

  const program = (options: Declared["options"] = {}): Declared[] => [
    {
      kind: "StorageMigration",
      name: "web",
      args: { ...placeOf(stage.sandbox, stage.guest), disks: ["vda", "vdb"], destination: stage.at("path1") },
      options,
    },
  ];
  const homes = async () => {
    const images = await Promise.all(["vda", "vdb"].map((disk) => stage.operator.activeImage(disk)));
    return images.map((image) => path.basename(path.dirname(image)));
  };

  it("are refreshed to the same places each time, of which only the first is a change", async () => {
    const once = await stack.must("refresh", program());
    assert.deepEqual(changesOf(once.refreshed), [["web", "update", ["destination"]]]);
    const twice = await stack.must("refresh", program());
    assert.deepEqual(changesOf(twice.refreshed), []);
    const places = `in several places: vda in ${stage.at("path3")}; vdb in ${stage.at("path1")}`;
    assert.deepEqual([stored(once, "web")?.inputs.destination, stored(twice, "web")?.inputs.destination], [places, places]);
  });

  it("stay where they are with ignoreChanges, and no change is found", async () => {
    await stack.must("refresh", program());
    const up = await stack.must("up", program({ ignoreChanges: ["destination"] }), { expectNoChanges: true });
    assert.deepEqual([changesOf(up.changes), plansIn(up), await homes()], [[], [], ["path3", "path1"]]);
  });

  it("fail a preview that expects no changes, until `up` has brought the one home", async () => {
    const preview = await stack.run("preview", program(), { expectNoChanges: true });
    assert(!preview.ok, preview.output);
    assert.deepEqual(changesOf(preview.changes), [["web", "update", ["destination"]]]);
    const up = await stack.must("up", program());
    const plan = `plan: vda: 1 layer, … MiB, from ${stage.at("path3", "vda.qcow2")} to ${stage.at("path1")}, live: mirror the active one, switch, tidy`;
    assert.deepEqual([plansIn(up), await homes()], [[plan], ["path1", "path1"]]);
    await stack.must("preview", program(), { expectNoChanges: true });
    await stage.guest.waitForRecords(5);
    await stage.guest.stop();
    for (const disk of ["vda", "vdb"]) await stage.holdsAll(stage.at("path1", `${disk}.qcow2`), disk);
  });
});
