/** What every guest does, whoever manages it: the same list for QEMU's own monitor and for libvirt. */

import assert from "node:assert/strict";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { type Properties, Unfinished } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { until } from "../sandbox/command.js";
import { created, type Move, Recorder, refusal } from "../storage-migration/stage.js";

/** A writing guest with one disk, `path1/old.qcow2` on `path1/common.qcow2`; beside `path1` is `path2`. */
export interface Subject extends AsyncDisposable {
  at(...names: string[]): string;
  /** Of a move of its disk, but for the destination. */
  readonly arguments: Properties;
  /** The image that it runs on, by another road than the provider's. */
  active(): Promise<string>;
  waitForRecords(more: number): Promise<void>;
  /** A power cut, and a start in the way in which it is always started. */
  restart(): Promise<void>;
  /** Ends it; every acknowledged record is in the image. */
  endsWithAll(image: string): Promise<void>;
}

export function behavesInMoves(whose: string, open: () => Promise<Subject>): void {
  describe(`the disk of ${whose}`, function () {
    this.timeout(240_000);
    let guest: Subject;
    beforeEach(async () => {
      guest = await open();
    });
    afterEach(() => guest?.[Symbol.asyncDispose]());

    const wanted = (folder: string, more: Properties = {}) => ({ ...guest.arguments, destination: guest.at(folder), ...more });
    const snapshot = { strategy: "snapshot", restartDuringMove: "from-manifest" };
    const moved = async (news: Properties, run = new Recorder()) => (await created(storageMigration, news, run)).outputs;

    it("stays where it is for a destination that is not there", async () => {
      assert.match(await refusal(storageMigration, wanted("nowhere")), /there is no directory .*nowhere.*Nothing was touched/);
      assert.equal(await guest.active(), guest.at("path1/old.qcow2"));
    });

    for (const more of [{}, snapshot]) {
      const strategy = "strategy" in more ? "snapshot" : "mirror";
      it(`is given back by destroy in the middle of strategy ${strategy}: the same file, the same chain, nothing of ours`, async () => {
        const before = await picture(guest);
        const outputs = await stopped(wanted("path2", { ...more, maxBytesPerSecond: 8 << 20 }));
        await storageMigration.delete("id", outputs, new Recorder());
        assert.equal(await guest.active(), guest.at("path1/old.qcow2"));
        assert.deepEqual(await picture(guest), before);
        await guest.waitForRecords(3);
      });
    }

    it("moves with strategy mirror; told so again it stays", async () => {
      const outputs = await moved(wanted("path2"));
      assert.equal(await guest.active(), guest.at("path2/old.qcow2"));
      assert.equal((outputs.moves as Record<string, Move>).vda?.phase, "settled");
      const again = new Recorder();
      await storageMigration.update("id", outputs, storageMigration.check({}, wanted("path2")).inputs, again);
      assert.deepEqual(again.lines, []);
      await guest.restart();
      assert.equal(await guest.active(), guest.at("path2/old.qcow2"));
    });

    it("moves back with strategy snapshot, with the same names and the same number of layers", async () => {
      await moved(wanted("path2"));
      const outputs = await moved(wanted("path1", snapshot));
      assert.equal(await guest.active(), guest.at("path1/old.qcow2"));
      const { chain } = (outputs.moves as Record<string, Move>).vda ?? assert.fail("nothing is said of vda");
      assert.deepEqual(
        chain.map((layer) => path.basename(layer.path)),
        ["old.qcow2", "common.qcow2"],
      );
      await guest.restart();
      await guest.waitForRecords(3);
      await guest.endsWithAll(guest.at("path1/old.qcow2"));
    });
  });
}

/** Names and inodes at the source; names at the destination. */
async function picture(guest: Subject) {
  const names = (await readdir(guest.at("path1"))).sort();
  const inodes = await Promise.all(names.map(async (name) => [name, (await stat(guest.at("path1", name))).ino]));
  return { source: inodes, destination: await readdir(guest.at("path2")) };
}

/** What the state remembers of a move that was asked to stop while it copied. */
async function stopped(news: Properties): Promise<Properties> {
  const run = new Recorder();
  const ended = created(storageMigration, news, run).then(
    () => assert.fail("It ended before it was stopped."),
    (reason: unknown) => reason,
  );
  await until(
    60,
    () => (run.lines.some((line) => line.includes("copying")) ? true : undefined),
    () => `It does not copy: ${run.lines.join("; ")}`,
  );
  run.ask();
  const thrown = await ended;
  assert(thrown instanceof Unfinished, String(thrown));
  return thrown.outputs;
}
