/** Lower layers that lie at the destination already: the same content is adopted, and stays whatever becomes of the move. */

import assert from "node:assert/strict";
import { cp, readdir, stat, unlink } from "node:fs/promises";
import { type Properties, Unfinished } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { chainOf } from "../sandbox/check.js";
import { run } from "../sandbox/command.js";
import { type DiskOptions, makeImages, planDisks, threeLayers } from "../sandbox/disks.js";
import { forgetBackingFormat } from "../sandbox/headers.js";
import { created, onOwnStage, Recorder, stopAt } from "./stage.js";

describe("a lower layer that lies at the destination with the same content", function () {
  this.timeout(180_000);
  const stage = onOwnStage({ disks: (at) => [{ storage: at("path1"), layers: threeLayers() }] });
  const path2 = (...names: string[]) => stage().at("path2", ...names);
  const adopted = async () => (await stat(path2("base.qcow2"), { bigint: true })).ino;
  /** A move that was drafted to copy all, and of whose first copy nothing is there: as if it had been another move's, which has just ended. */
  const stoppedInCopy = async (different: Properties = {}): Promise<Unfinished> => {
    const stopped: unknown = await stopAt("copying", stage(), { maxBytesPerSecond: 4_000_000, ...different }).catch((reason) => reason);
    assert(stopped instanceof Unfinished, String(stopped));
    for (const name of await readdir(path2())) if (/^base\.qcow2\.lm-(layer|partial)/.test(name)) await unlink(path2(name));
    return stopped;
  };

  it("without the layer that it stands on is refused", async () => {
    await cp(stage().at("path1", "middle.qcow2"), path2("middle.qcow2"));
    const message = await stage().refuses({});
    assert.match(message, /path2\/middle\.qcow2 .*base\.qcow2.*Nothing was touched/);
  });

  it("stays when the move is undone", async () => {
    await cp(stage().at("path1", "base.qcow2"), path2("base.qcow2"));
    const ino = await adopted();
    const unfinished: unknown = await stopAt("mirroring", stage(), { maxBytesPerSecond: 8_000_000 }).catch((reason) => reason);
    assert(unfinished instanceof Unfinished, String(unfinished));
    assert.match(unfinished.message, /Stopped as asked.*run `pulumi up` again/);
    assert.deepEqual((await readdir(path2())).filter((name) => name.endsWith(".qcow2")).sort(), [
      "base.qcow2",
      "middle.qcow2",
      "top.qcow2",
    ]);
    await storageMigration.delete(unfinished.id, unfinished.outputs, new Recorder());
    assert.deepEqual(await readdir(path2()), ["base.qcow2"]);
    assert.equal(await adopted(), ino);
    assert.deepEqual((await readdir(stage().at("path1"))).sort(), ["base.qcow2", "middle.qcow2", "top.qcow2"]);
  });

  it("stays when another move has left it there after this one was drafted, and the next run takes it as it is", async () => {
    await stoppedInCopy();
    await cp(stage().at("path1", "base.qcow2"), path2("base.qcow2"));
    const ino = await adopted();
    const unfinished: unknown = await stopAt("mirroring", stage(), { maxBytesPerSecond: 8_000_000 }).catch((reason) => reason);
    assert(unfinished instanceof Unfinished && /Stopped as asked/.test(unfinished.message), String(unfinished));
    assert.equal(await adopted(), ino);
    await storageMigration.delete(unfinished.id, unfinished.outputs, new Recorder());
    assert.deepEqual(await readdir(path2()), ["base.qcow2"]);
    assert.equal(await adopted(), ino);
  });

  it("with other content is refused in words that say how the move stands, and left alone by the undo", async () => {
    const { id, outputs } = await stoppedInCopy();
    await run("qemu-img", ["create", "-q", "-f", "qcow2", path2("base.qcow2"), "1M"]);
    const ino = await adopted();
    await assert.rejects(stage().moves(), /base\.qcow2 already exists with other content.*The guest runs on the source as before\. Take /);
    await storageMigration.delete(id, outputs, new Recorder());
    assert.deepEqual(await readdir(path2()), ["base.qcow2"]);
    assert.equal(await adopted(), ino);
  });

  it("whose header leads back to itself is refused", async () => {
    await cp(stage().at("path1", "middle.qcow2"), path2("base.qcow2")); // its backing name is base.qcow2
    const message = await stage().refuses({});
    assert.match(
      message,
      /base\.qcow2 already exists, and the header of \S+base\.qcow2 names base\.qcow2 as its backing file, and has none.*Nothing was touched/,
    );
  });

  it("whose header does not name the format of the layer below is refused, where the source's does: a boot would guess", async () => {
    for (const name of ["base.qcow2", "middle.qcow2"]) await cp(stage().at("path1", name), path2(name));
    forgetBackingFormat(path2("middle.qcow2"));
    const message = await stage().refuses({});
    assert.match(message, /the header of \S+path2\/middle\.qcow2 does not say which format \S+path2\/base\.qcow2 has.*Nothing was touched/);
  });

  it("under the active layer's name is refused after a freeze too: that one is written to in the end", async () => {
    const { id, outputs } = await stoppedInCopy({ strategy: "snapshot", restartDuringMove: "from-manifest" });
    await cp(stage().at("path1", "top.qcow2"), path2("top.qcow2"));
    const { ino } = await stat(path2("top.qcow2"));
    await assert.rejects(
      stage().moves({ strategy: "snapshot", restartDuringMove: "from-manifest" }),
      /top\.qcow2.*a file that is not ours has that name already; move it away/,
    );
    await storageMigration.delete(id, outputs, new Recorder());
    assert.deepEqual(await readdir(path2()), ["top.qcow2"]);
    assert.equal((await stat(path2("top.qcow2"))).ino, ino);
  });

  it("is not copied, and the guest runs on it", async () => {
    await cp(stage().at("path1", "base.qcow2"), path2("base.qcow2"));
    const ino = await adopted();
    const { inputs } = storageMigration.check({}, stage().arguments);
    const { id, outputs } = await created(storageMigration, inputs);
    assert.equal(await adopted(), ino);
    assert((await stage().guest.openFiles()).includes(path2("base.qcow2")));
    assert.deepEqual(
      (await chainOf(path2("top.qcow2"))).map(({ backingName }) => backingName),
      ["middle.qcow2", "base.qcow2", undefined],
    );
    await stage().guest.waitForRecords(10);
    await storageMigration.delete(id, outputs, new Recorder());
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(path2("top.qcow2"));
  });
});

describe("a lower layer at the destination that names no format, as the source's own", function () {
  this.timeout(180_000);
  const guessed = async (at: (...names: string[]) => string): Promise<DiskOptions[]> => {
    const disks: DiskOptions[] = [{ storage: at("path1"), layers: threeLayers() }];
    for (const disk of planDisks(disks)) await makeImages(disk);
    forgetBackingFormat(at("path1", "middle.qcow2"));
    return disks;
  };
  const stage = onOwnStage({ disks: guessed });
  const path2 = (name: string) => stage().at("path2", name);
  beforeEach(async () => {
    for (const name of ["base.qcow2", "middle.qcow2"]) await cp(stage().at("path1", name), path2(name));
  });

  it("is adopted", async () => {
    const { ino } = await stat(path2("middle.qcow2"));
    const { vda } = await stage().moves({});
    assert.deepEqual([vda?.phase, (await stat(path2("middle.qcow2"))).ino], ["settled", ino]);
  });

  it("does not hide that the header below it leads elsewhere", async () => {
    await run("qemu-img", ["rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", path2("base.qcow2")]);
    const message = await stage().refuses({});
    assert.match(message, /the header of \S+base\.qcow2 names \/etc\/passwd as its backing file, and has none.*Nothing was touched/);
  });
});
