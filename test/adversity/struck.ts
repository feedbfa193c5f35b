/** Moves of a guest's disk to a small file system: each is struck once, told in words, and finished after the storage is mended. */

import assert from "node:assert/strict";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { longMirror } from "../sandbox/disks.js";
import { mountSmall, type SmallFileSystem } from "../sandbox/file-systems.js";
import { assertSentence, onOwnStage, type Stage } from "../storage-migration/stage.js";
import { Runner } from "./runner.js";

export interface Row {
  title: string;
  kind: "tmpfs" | "ext4";
  /** In which part of the move it is struck. */
  during: "copying" | "mirroring";
  strike(storage: SmallFileSystem): Promise<void>;
  /** What the struck run says. */
  says: RegExp;
  /** What the next run says while the storage is as bad as before; undefined: not asked. */
  saysAgain?: RegExp;
  /** `letGo`: a run that fails, since it can neither go on nor clean up, but leaves QEMU with nothing open there. */
  mend(storage: SmallFileSystem, letGo: () => Promise<void>): Promise<void>;
  /** Whether the next run may begin the layer or the mirror's target anew, where nothing of it was safely on the storage. Default: it goes on. */
  anew?: boolean;
  /** Whether its directory shows what lies below, meanwhile. */
  vanishes?: boolean;
}

/** A test for each row. */
export function describeStruck(rows: readonly Row[]): void {
  describe("a destination whose storage", function () {
    this.timeout(240_000);
    const stage = onOwnStage({ disks: (at) => [{ storage: at("path1"), layers: longMirror }] });

    for (const row of rows) {
      const goesOn = row.anew ? "ends the move, if need be with a new copy" : "goes on where it was";
      it(`${row.title} while the move is ${row.during} is told in words, and the next up ${goesOn} with every acknowledged write`, async () => {
        const storage = await mountSmall(stage().sandbox, stage().at("storage"), { kind: row.kind, sizeMiB: 300 });
        const before = (await stage().operator.activeImage("vda")) as string;
        const message = await struck(stage(), storage, row);
        assert.match(message, row.says);
        await stage().guest.waitForRecords(5);
        const again = () => new Runner({ ...stage().arguments, destination: storage.place });
        if (row.saysAgain) assert.match(await failure(again()), row.saysAgain);
        assert.equal(await stage().operator.activeImage("vda"), before);
        const begun = await inodes(storage.place);
        await row.mend(storage, async () => assert.match(await failure(again()), /Read-only file system/));
        if (row.vanishes) Object.assign(begun, await inodes(storage.place));
        await finishes(stage(), storage, row, begun);
        await stage().guest.stop();
        await stage().holdsAll(path.join(storage.place, "old.qcow2"));
      });
    }
  });
}

/** The message of a move that is struck as soon as it has got somewhere. */
async function struck(stage: Stage, storage: SmallFileSystem, row: Row): Promise<string> {
  const runner = new Runner({ ...stage.arguments, destination: storage.place, maxBytesPerSecond: 4_000_000 });
  await runner.says(new RegExp(`${row.during} ([5-9]|[1-9]\\d) %`));
  assert(!runner.isOver, runner.lines.join("\n"));
  await row.strike(storage);
  const message = await failure(runner);
  if (row.vanishes) assert.deepEqual(await readdir(storage.place), [], "something came into being below the storage");
  return message;
}

async function failure(runner: Runner): Promise<string> {
  const ending = await runner.ending;
  assert(ending.failed === "yes", `it did not fail: ${runner.lines.slice(-5).join("; ")}`);
  const message = ending.message.replace(/^\w*: /, "");
  if (process.env.SHOW_MESSAGES) console.log(`        > ${message}`);
  assertSentence(message.replace(/ current: .*/, ""));
  return message;
}

async function finishes(stage: Stage, storage: SmallFileSystem, row: Row, begun: Record<string, number>): Promise<void> {
  const runner = new Runner({ ...stage.arguments, destination: storage.place });
  assert.deepEqual(await runner.ending, { failed: "no" });
  const landed = await inodes(storage.place);
  assert.equal(await stage.operator.activeImage("vda"), path.join(storage.place, "old.qcow2"));
  if (row.during === "copying") {
    const partials = (names: Record<string, number>) => Object.keys(names).filter((name) => name.startsWith("common.qcow2.lm-partial-"));
    assert.deepEqual(partials(landed), []);
    if (!row.anew) {
      // the partial has become the layer, and what it held was not copied again
      assert.equal(landed["common.qcow2"], begun[partials(begun)[0] ?? ""]);
      const first = runner.lines.find((line) => line.includes("copying"));
      assert(Number(/copying (\d+) %/.exec(first ?? "")?.[1]) > 0, `the copy began anew: ${first}`);
    }
  } else {
    assert.equal(landed["common.qcow2"], begun["common.qcow2"]);
    assert(!runner.lines.some((line) => line.includes("copying")), "the layer was copied again");
    if (!row.anew) assert.equal(landed["old.qcow2"], begun["old.qcow2"]);
  }
  await stage.guest.waitForRecords(5);
}

async function inodes(place: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const name of await readdir(place)) found[name] = (await stat(`${place}/${name}`)).ino;
  return found;
}
