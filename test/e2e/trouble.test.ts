/** What goes wrong for one resource stays with it: the rest of the stack goes on. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import path from "node:path";
import type { Properties } from "../../provider/lifecycle.js";
import { checkImage } from "../sandbox/check.js";
import { oneLayer } from "../sandbox/disks.js";
import type { Guest } from "../sandbox/guest.js";
import { Operator } from "../sandbox/operator.js";
import { createSandbox, type Sandbox } from "../sandbox/sandbox.js";
import { changesOf, type Declared, DeclaredStack, placeOf, stored } from "./declared.js";

describe("a stack of two guests", function () {
  this.timeout(300_000);
  let sandbox: Sandbox;
  let web: Guest;
  let db: Guest;
  before(async () => {
    sandbox = await createSandbox("trouble");
    web = await start("web");
    db = await start("db");
    console.log(`      engine: ${(await new DeclaredStack(sandbox).open([])).describe()}`);
  });
  after(() => sandbox?.dispose());

  function start(name: string): Promise<Guest> {
    const storage = path.join(sandbox.folder, name, "path1");
    const serial = `SERIAL-${name}`;
    return sandbox.startGuest({ name, disks: [{ storage, layers: oneLayer("disk.qcow2"), virtualMiB: 256, serial }], uuid: randomUUID() });
  }

  const at = (guest: string, storage: string) => path.join(sandbox.folder, guest, storage);
  const move = (guest: Guest, name: string, storage: string, more: Properties = {}): Declared => ({
    ...{ kind: "StorageMigration", name, args: { ...placeOf(sandbox, guest), disks: ["vda"], destination: at(name, storage), ...more } },
  });
  const both = (webStorage: string, dbStorage: string) => [move(web, "web", webStorage), move(db, "db", dbStorage)];
  const stack = (name = "test") => new DeclaredStack(sandbox, name);

  async function storageOf(guest: Guest): Promise<string> {
    await using operator = await Operator.connect(guest.operatorSocket);
    return path.basename(path.dirname(await operator.activeImage("vda")));
  }

  it("moves one disk while the other's monitor is busy, and shows of that what was last seen, with a warning", async () => {
    await stack().must("up", both("path1", "path1"));
    await using _busy = await Operator.connect(db.qmpSocket);
    const up = await stack().must("up", both("path2", "path1"));
    assert.deepEqual(changesOf(up.changes), [["web", "update", ["destination"]]]);
    assert.match(up.output, /db.*warning.*no greeting came within 2 s.*What is shown is what was last seen|warning:.*no greeting came/s);
    assert.equal(await storageOf(web), "path2");
    assert.equal(stored(up, "db")?.outputs.running, true);
  });

  it("has lost no write after all that", async () => {
    for (const [guest, storage] of [
      [web, at("web", "path2")],
      [db, at("db", "path1")],
    ] as const) {
      await guest.waitForRecords(5);
      await guest.stop();
      const { lost, corrupt } = await checkImage(path.join(storage, "disk.qcow2"), guest.disk());
      assert.deepEqual({ lost, corrupt }, { lost: [], corrupt: [] });
    }
  });
});
