/** State that an older version wrote: without arguments and outputs of today, with others that are no more, without the hidden URN. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { exportedState } from "../engine/cli-state.js";
import { oneLayer } from "../sandbox/disks.js";
import { Stage } from "../storage-migration/stage.js";
import { changesOf, type Declared, DeclaredStack, placeOf, stored } from "./declared.js";

const fixture = path.resolve(__dirname, "../../../test/e2e/older-state.json");

describe("the state of an older version", function () {
  this.timeout(300_000);
  let stage: Stage;
  let stack: DeclaredStack;
  beforeEach(async () => {
    const ids = ["vda", "vdb"];
    const disks = (at: Stage["at"]) => ids.map((id) => ({ id, storage: at("path1"), layers: oneLayer(`${id}.qcow2`), virtualMiB: 256 }));
    stage = await Stage.open({ sandboxName: "older", uuid: "11111111-2222-3333-4444-555555555555", disks });
    stack = new DeclaredStack(stage.sandbox);
    const host = JSON.stringify({ ...stage.sandbox.host });
    const text = (await readFile(fixture, "utf8")).replaceAll('"<host>"', host).replaceAll("<folder>", stage.folder);
    await stack.importState(exportedState(text.replaceAll("<qmp>", stage.guest.qmpSocket)));
  });
  afterEach(() => stage?.[Symbol.asyncDispose]());

  const program = (destination: string): Declared[] => [
    {
      kind: "StorageMigration",
      name: "web",
      args: { ...placeOf(stage.sandbox, stage.guest), disks: ["vda"], destination: stage.at(destination) },
    },
    { kind: "DomainDisk", name: "db", args: { ...placeOf(stage.sandbox, stage.guest), disk: "vdb" } },
  ];

  it("differs in nothing from the program that wrote it", async () => {
    const preview = await stack.must("preview", program("path1"), { expectNoChanges: true });
    assert.deepEqual([...changesOf(preview.changes), ...changesOf(preview.refreshed)], []);
    const up = await stack.must("up", program("path1"), { expectNoChanges: true });
    assert.equal(stored(up, "web")?.inputs.verify, "none");
    assert.equal(stored(up, "web")?.inputs.parallelCopies, undefined);
  });

  it("is enough to refresh, to move and to destroy", async () => {
    const refreshed = await stack.must("refresh", program("path1"));
    assert.equal(stored(refreshed, "db")?.outputs.bootPath, stage.at("path1/vdb.qcow2"));
    assert.equal(stored(refreshed, "db")?.outputs.status, "settled");
    const moved = await stack.must("up", program("path2"));
    assert.deepEqual(changesOf(moved.changes), [["web", "update", ["destination"]]]);
    assert.equal(stored(moved, "web")?.outputs.schemaVersion, 1);
    await stack.must("preview", program("path2"), { expectNoChanges: true });
    await stack.must("destroy", []);
    assert.equal(await stage.operator.activeImage("vda"), stage.at("path2/vda.qcow2"));
    await stage.guest.waitForRecords(5);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2/vda.qcow2"), "vda");
  });
});
