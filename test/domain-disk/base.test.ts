import assert from "node:assert/strict";
import type { Properties } from "../../provider/core/lifecycle.js";
import { domainDisk } from "../../provider/resources/domain-disk/lifecycle.js";
import { chainOf } from "../sandbox/check.js";
import { threeLayers } from "../sandbox/disks.js";
import { created, onOwnStage, onStage, Recorder, refusal, type Stage } from "../storage-migration/stage.js";

const title = "the declared base of a disk";

const guest = { disks: (at: Stage["at"]) => [{ storage: at("path1"), layers: threeLayers() }] };

function argsOf(stage: Stage, base: string): Properties {
  return { host: stage.sandbox.host, domain: { qmp: stage.guest.qmpSocket }, disk: "vda", base: stage.at(base) };
}

describe(title, function () {
  this.timeout(180_000);
  const stage = onStage(guest);
  const args = (base: string) => argsOf(stage(), base);

  it("is refused if it is no layer of the chain, in a sentence that lists the layers", async () => {
    assert.match(
      await refusal(domainDisk, args("path1/nothing.qcow2")),
      /is not a layer of its chain \(.*top\.qcow2 ← .*middle\.qcow2 ← .*base\.qcow2\)/,
    );
  });

  it("is refused if it is the active image", async () => {
    assert.match(await refusal(domainDisk, args("path1/top.qcow2")), /is its active image/);
  });

  it("is nothing to do if it is right below the active image", async () => {
    const { outputs } = await created(domainDisk, args("path1/middle.qcow2"));
    assert.equal((outputs.chain as unknown[]).length, 3);
  });

  it("shows as drift where another layer is right below the active image", async () => {
    const { id, outputs } = await created(domainDisk, args("path1/middle.qcow2"));
    const base = stage().at("path1/base.qcow2");
    const read = await domainDisk.read(id, { ...outputs, base, declared: { base } }, new Recorder());
    assert(typeof read === "object");
    assert.equal(read.inputs.base, stage().at("path1/middle.qcow2"));
    assert.deepEqual([outputs.status, read.outputs.status, read.outputs.phase], ["settled", "elsewhere", "settled"]);
  });
});

describe(title, function () {
  this.timeout(180_000);
  const stage = onOwnStage(guest);

  it("has what lies between pulled up into the active image, with a relative name, and closes it", async () => {
    const teller = new Recorder();
    const { outputs } = await created(domainDisk, argsOf(stage(), "path1/base.qcow2"), teller);
    assert.match(teller.said.join(), /pulling .*middle\.qcow2 up into .*top\.qcow2/);
    assert.equal((outputs.chain as unknown[]).length, 2);
    await stage().guest.waitForRecords(20);
    assert.deepEqual(
      (await stage().guest.openFiles()).filter((file) => file.endsWith("middle.qcow2")),
      [],
    );
    await stage().guest.stop();
    const chain = await chainOf(stage().at("path1/top.qcow2"));
    assert.deepEqual(
      chain.map(({ backingName }) => backingName),
      ["base.qcow2", undefined],
    );
    await stage().holdsAll(stage().at("path1/top.qcow2"));
  });
});
