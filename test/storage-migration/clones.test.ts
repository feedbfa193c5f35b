/** Fifty clones on one base, the disks of two guests: the base is copied once, and goes only with the last that stands on it. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { type Properties, Unfinished } from "../../provider/core/lifecycle.js";
import { closeAllHosts } from "../../provider/host/connection.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { checkImage } from "../sandbox/check.js";
import { until } from "../sandbox/command.js";
import type { DiskOptions } from "../sandbox/disks.js";
import type { Guest } from "../sandbox/guest.js";
import { createSandbox, type Sandbox } from "../sandbox/sandbox.js";
import { created, type Move, Recorder } from "./stage.js";

const clonesPerGuest = 25;
const baseMiB = 32;

describe("fifty clones on one base", function () {
  this.timeout(600_000);
  let sandbox: Sandbox;
  let guests: Guest[];
  const at = (...names: string[]) => path.join(sandbox.folder, ...names);
  const copiedBase = () => at("fast", "base.qcow2");

  /** Overlays on the one base; the guest writes to the first of them. */
  function clonesOf(guest: string): DiskOptions[] {
    const base = { file: "base.qcow2", fill: { byte: 0x11, fromMiB: 0, lengthMiB: baseMiB } };
    return Array.from({ length: clonesPerGuest }, (_, index) => ({
      id: `${guest}${index}`,
      storage: at("slow"),
      layers: [base, { file: `${guest}${index}.qcow2` }],
      writes: index === 0 ? "records" : "idle",
    }));
  }

  beforeEach(async () => {
    sandbox = await createSandbox("clones");
    for (const storage of ["slow", "fast"]) await mkdir(at(storage));
    guests = [];
    for (const name of ["a", "b"]) guests.push(await sandbox.startGuest({ name, disks: clonesOf(name) }));
  });
  afterEach(async () => {
    await closeAllHosts();
    await sandbox.dispose();
  });

  /** One resource for all disks of a guest. */
  function resource(guest: Guest): Properties {
    const disks = guest.disks.map(({ id }) => id);
    return { host: sandbox.host, domain: { qmp: guest.qmpSocket }, disks, destination: at("fast") };
  }

  const runOf = (guest: Guest) => new Recorder(`urn:pulumi:dev::clones::livedisk::${path.basename(path.dirname(guest.qmpSocket))}`);

  /** Who stands on the copied base, as its sidecar says. */
  async function standing(): Promise<number> {
    const text = await readFile(`${copiedBase()}.lm-layer`, "utf8").catch(() => "");
    return text.split("\n").filter((line) => /^(user|kept) /.test(line)).length;
  }

  const bytesCopied = (moves: unknown) =>
    Object.values(moves as Record<string, Move>).reduce((sum, { copiedBytes = 0 }) => sum + copiedBytes, 0);

  /** A move that stops once all its disks stand on the copied base: `total` of them, with those of others. */
  async function begun(guest: Guest, total: number): Promise<Unfinished> {
    const run = runOf(guest);
    const moving = created(storageMigration, resource(guest), run).then(
      () => assert.fail("It was not stopped."),
      (reason: unknown) => reason,
    );
    await until(
      120,
      async () => ((await standing()) >= total ? true : undefined),
      () => `They do not come to stand on it.`,
    );
    run.ask();
    const reason = await moving;
    assert(reason instanceof Unfinished, String(reason));
    return reason;
  }

  it("have it copied once, leave it to the others when some are undone, and take it along with the last", async () => {
    const [a, b] = guests as [Guest, Guest];
    const first = await begun(a, clonesPerGuest);
    const { ino, size } = await stat(copiedBase());
    assert.equal(bytesCopied(first.outputs.moves), size);
    const second = await begun(b, 2 * clonesPerGuest);
    assert.equal(bytesCopied(second.outputs.moves), 0);
    assert.equal((await stat(copiedBase())).ino, ino);

    await storageMigration.delete(first.id, first.outputs, runOf(a));
    assert.equal((await stat(copiedBase())).ino, ino);
    assert.equal(await standing(), clonesPerGuest);
    await storageMigration.delete(second.id, second.outputs, runOf(b));
    assert(!existsSync(copiedBase()));
    assert.deepEqual(await readdir(at("fast")), []);
    for (const guest of guests) await guest.waitForRecords(5);
  });

  it("move at the same time onto one copy of it", async () => {
    const before = await stat(at("slow", "base.qcow2"));
    const all = await Promise.all(guests.map((guest) => created(storageMigration, resource(guest), runOf(guest))));
    const moves = all.flatMap(({ outputs }) => Object.values(outputs.moves as Record<string, Move>));
    assert.deepEqual([moves.length, [...new Set(moves.map(({ phase }) => phase))]], [2 * clonesPerGuest, ["settled"]]);
    assert.equal(
      all.reduce((sum, { outputs }) => sum + bytesCopied(outputs.moves), 0),
      before.size,
    );
    const { ino } = await stat(copiedBase());
    for (const guest of guests) {
      const open = await Promise.all((await guest.openFiles()).filter((file) => file.endsWith("base.qcow2")).map((file) => stat(file)));
      assert.deepEqual(new Set(open.map((file) => file.ino)), new Set([ino]), "each guest reads the copy, and nothing else");
    }
    assert.deepEqual(
      (await readdir(at("fast"))).filter((name) => !/^[ab]\d+\.qcow2$/.test(name)),
      ["base.qcow2"],
    );
    for (const guest of guests) {
      await guest.waitForRecords(20);
      await guest.stop();
      const [written] = guest.disks;
      assert(written);
      const { lost, corrupt } = await checkImage(at("fast", `${written.id}.qcow2`), written);
      assert.deepEqual([lost, corrupt], [[], []]);
    }
  });
});
