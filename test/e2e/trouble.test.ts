/** What goes wrong for one resource stays with it: the rest of the stack goes on, and the next `up` finishes what was begun. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import path from "node:path";
import type { Properties } from "../../provider/core/lifecycle.js";
import type { OperationResult } from "../engine/engine.js";
import { checkImage } from "../sandbox/check.js";
import { oneLayer } from "../sandbox/disks.js";
import type { Guest } from "../sandbox/guest.js";
import { Operator } from "../sandbox/operator.js";
import { createSandbox, type Sandbox } from "../sandbox/sandbox.js";
import { changesOf, type Declared, DeclaredStack, placeOf, plansIn, stored } from "./declared.js";

describe("a stack of two guests", function () {
  this.timeout(300_000);
  let sandbox: Sandbox;
  let web: Guest;
  let db: Guest;
  beforeEach(async () => {
    sandbox = await createSandbox("trouble");
    web = await start("web");
    db = await start("db");
  });
  afterEach(() => sandbox?.dispose());

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

  async function activeImageOf(guest: Guest): Promise<string> {
    await using operator = await Operator.connect(guest.operatorSocket);
    return await operator.activeImage("vda");
  }

  const storageOf = async (guest: Guest) => path.basename(path.dirname(await activeImageOf(guest)));

  it("moves one disk while the other's monitor is busy, and shows of that what was last seen, with a warning", async () => {
    await stack().must("up", both("path1", "path1"));
    await using _busy = await Operator.connect(db.qmpSocket);
    const up = await stack().must("up", both("path2", "path1"));
    assert.deepEqual(changesOf(up.changes), [["web", "update", ["destination"]]]);
    assert.match(up.output, /db.*warning.*no greeting came within 2 s.*What is shown is what was last seen|warning:.*no greeting came/s);
    assert.equal(await storageOf(web), "path2");
    assert.equal(stored(up, "db")?.outputs.running, true);
    await holdAll();
  });

  it("moves one disk while the other's guest is stopped, which is told in the state; a move of that fails in words", async () => {
    await stack().must("up", both("path1", "path1"));
    await db.stop();
    const up = await stack().must("up", both("path2", "path1"));
    assert.deepEqual(changesOf(up.changes), [["web", "update", ["destination"]]]);
    assert.match(up.output, /What is shown is what was last seen/);
    assert.equal(stored(up, "db")?.outputs.running, false);
    assert.equal(await storageOf(web), "path2");
    const failed = await stack().run("up", both("path2", "path2"));
    assert.ok(!failed.ok);
    assert.match(failed.output, /nobody listens on it, so the guest is not running\. Start it|there is no such socket\. Start the guest/);
    assert.doesNotMatch(failed.output, /\n\s+at .*\.js/);
    await db.boot();
    const seen = await stack().must("refresh", both("path2", "path1"));
    assert.equal(stored(seen, "db")?.outputs.running, true);
    await holdAll();
  });

  it("keeps a create whose guest was killed in the middle, shows that it goes on, and finishes it in the next up", async () => {
    const slow = { maxBytesPerSecond: 16 << 20 };
    const kill = (line: string) => void (line.includes("vda mirroring") && db.state() === "running" && db.kill());
    const failed = await stack().run("up", [move(db, "db", "path2", slow)], { onProgress: kill });
    assert.ok(!failed.ok, failed.output);
    assert.match(failed.output, new RegExp(`current: vda at ${at("db", "path1/disk.qcow2")}`));
    assert.equal(stored(failed, "db")?.initErrors.length, 1);
    await db.boot();
    const preview = await stack().must("preview", [move(db, "db", "path2")]);
    assert.deepEqual(changesOf(preview.changes), [["db", "update", ["maxBytesPerSecond"]]]);
    assert.match(plansIn(preview).join(), /vda: go on with the move to .*path2 that was begun/);
    await stack().must("up", [move(db, "db", "path2")]);
    assert.equal(await storageOf(db), "path2");
    const again = await stack().must("up", [move(db, "db", "path2")], { expectNoChanges: true });
    assert.deepEqual(stored(again, "db")?.initErrors, []);
    await holdAll();
  });

  it("refuses a second owner of a disk, whatever that calls the disk and its host, and names both", async () => {
    await stack().must("up", [move(db, "db", "path2")]);
    const other: Declared = {
      ...{ kind: "DomainDisk", name: "root" },
      args: { ...placeOf(sandbox, db), host: { ...sandbox.host, address: "localhost" }, disk: "SERIAL-db" },
    };
    const refused = await stack().run("up", [move(db, "db", "path2", { verify: "full" }), other]);
    assert.ok(!refused.ok);
    assert.match(
      refused.output,
      /DomainDisk root and .*StorageMigration db are the same disk|StorageMigration db and .*DomainDisk root are the same disk/,
    );
    await holdAll();
  });

  it("refuses a move while another stack moves the disk: by the same monitor it is busy, by another the lock says who", async () => {
    const refused: Promise<OperationResult>[] = [];
    const byAnother = move(web, "web", "path3", { domain: { qmp: web.operatorSocket } });
    const begin = (line: string) => {
      if (!/vda (copying|mirroring)/.test(line) || refused.length > 0) return;
      refused.push(stack("second").run("up", [move(web, "web", "path3")]), stack("third").run("up", [byAnother]));
    };
    await stack("first").must("up", [move(web, "web", "path2", { maxBytesPerSecond: 3 << 20 })], { onProgress: begin });
    const [busy, locked] = await Promise.all(refused);
    assert.ok(busy && locked && !busy.ok && !locked.ok);
    assert.match(busy.output, /no greeting came within 2 s.*another one may hold it/);
    assert.match(
      locked.output,
      /another run holds the lock \([0-9a-f]{16}, process \d+ on .*its lock is .*\.lock\)\. Nothing was touched\. Let it end/,
    );
    assert.equal(await storageOf(web), "path2");
    await holdAll();
  });

  async function holdAll(): Promise<void> {
    for (const guest of [web, db]) {
      await guest.waitForRecords(5);
      const image = await activeImageOf(guest);
      await guest.stop();
      const { lost, corrupt } = await checkImage(image, guest.disk());
      assert.deepEqual({ lost, corrupt }, { lost: [], corrupt: [] });
    }
  }
});
