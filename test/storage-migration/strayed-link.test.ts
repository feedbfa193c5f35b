/** A disk that was moved by hand from behind a `link` is brought home under the same rules, whatever happens on the way. */

import assert from "node:assert/strict";
import { mkdir, readlink, symlink } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { checkImage } from "../sandbox/check.js";
import { longMirror } from "../sandbox/disks.js";
import { onOwnStage, Recorder, type Stage, stopAt } from "./stage.js";

describe("a disk that was moved by hand from behind a link", function () {
  this.timeout(180_000);
  const disks = async (at: Stage["at"]) => {
    await symlink(at("path1"), at("disks"));
    for (const folder of ["path0", "path3"]) await mkdir(at(folder));
    return [{ storage: at("path1"), through: at("disks"), layers: longMirror }];
  };
  const stage = onOwnStage({ disks }, (begun) => begun.moves({ destination: begun.at("path3") }));
  const home = () => ({ link: stage().at("disks"), destination: stage().at("path1") });

  it("is refused through a link to a third place", async () => {
    await symlink("path0", stage().at("third"));
    const message = await stage().refuses({ ...home(), link: stage().at("third") });
    assert.match(message, /the link .*third does not lead to .*path3, where vda lies\. Nothing was touched\. Name the link/);
  });

  it("stays, with the link as it was, where the move home is undone", async () => {
    await stopAt("mirroring", stage(), { ...home(), maxBytesPerSecond: 8 * 1024 * 1024 }).catch(() => {});
    await storageMigration.delete("id", { ...stage().arguments, ...home() }, new Recorder());
    assert.equal(await stage().operator.activeImage("vda"), stage().at("path3", "old.qcow2"));
    assert.equal(await readlink(stage().at("disks")), stage().at("path1"));
  });

  it("is not taken for moved when the guest ends on the way and is started through the link from the half of it", async () => {
    await stopAt("mirroring", stage(), { ...home(), maxBytesPerSecond: 8 * 1024 * 1024 }).catch(() => {});
    await stage().operator.close();
    await stage().guest.kill();
    const written = stage().guest.disk("vda").acknowledged().length;
    await stage().boot(); // by the command line, which names what the mirror has made so far
    const message = await refusalHalfWay(storageMigration.create(checked(), new Recorder()));
    assert.match(message, /the guest runs on .*old\.qcow2, but no switch to that is recorded: .*path3\/old\.qcow2 holds every write/);
    assert.match(message, /Stop the guest and start it from .*path3\/old\.qcow2/);
    await stage().operator.close();
    await stage().guest.kill();
    // what it wrote there belongs to the half image
    const astray = stage().guest.disk("vda").acknowledged().slice(written);

    await stage().boot({ vda: stage().at("path3", "old.qcow2") });
    const moves = await stage().moves(home());
    assert.equal(moves.vda?.bootPath, stage().at("disks", "old.qcow2"));
    await stage().guest.waitForRecords(5);
    await stage().guest.stop();
    const { lost, corrupt } = await checkImage(stage().at("path1", "old.qcow2"), stage().guest.disk("vda"));
    assert.deepEqual([lost.filter((record) => !astray.includes(record)), corrupt], [[], []]);
  });

  const checked = () => storageMigration.check({}, { ...stage().arguments, ...home() }).inputs;
});

async function refusalHalfWay(create: Promise<unknown>): Promise<string> {
  const thrown: unknown = await create.catch((reason: unknown) => reason);
  assert(thrown instanceof Unfinished, String(thrown));
  return thrown.message;
}
