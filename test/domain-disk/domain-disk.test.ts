/** A DomainDisk's lifecycle without an engine: it adopts, moves by `storage`, sees what somebody did by hand, and lets go. */

import assert from "node:assert/strict";
import { rename } from "node:fs/promises";
import path from "node:path";
import { gone, type Properties } from "../../provider/core/lifecycle.js";
import { domainDisk } from "../../provider/resources/domain-disk/lifecycle.js";
import { run, until } from "../sandbox/command.js";
import { snapshotOf } from "../storage-migration/snapshot.js";
import { created, onOwnStage, onStage, Recorder, refusal, type Stage } from "../storage-migration/stage.js";

const title = "a DomainDisk";

describe(title, function () {
  this.timeout(180_000);
  const stage = onStage();
  const news = (different: Properties = {}) => newsOf(stage(), different);
  const active = () => [stage().at("path1", "old.qcow2"), stage().at("path2", "old.qcow2")];
  const look = () => snapshotOf([stage().at("path1"), stage().at("path2")], stage().operator, active());

  it("adopts a disk where it is, and touches nothing", async () => {
    const before = await look();
    const { id, outputs } = await created(domainDisk, news());
    assert.match(id, /^.+\/\/machine\/peripheral\/vda\/virtio-backend$/);
    assert.equal(outputs.bootPath, stage().at("path1", "old.qcow2"));
    assert.deepEqual([outputs.running, outputs.phase, outputs.drift], [true, "settled", undefined]);
    await domainDisk.delete(id, outputs, new Recorder());
    assert.deepEqual(await look(), before);
  });

  it("keeps its state small, with everything that was put in", async () => {
    const { outputs } = await created(domainDisk, news({ storage: stage().at("path1") }));
    assert(JSON.stringify({ inputs: news(), outputs }).length < 1500);
    for (const [key, value] of Object.entries(news()))
      assert.deepEqual(key === "host" ? { ...(value as object), privilege: "user" } : value, outputs[key]);
  });

  for (const [what, different, expected] of [
    ["a disk that is not there", { disk: "vdz" }, /Unable to find the disk "vdz".*It has vda/],
    ["a storage that is not there", { storage: "/nowhere/at/all" }, /there is no directory \/nowhere\/at\/all\. Nothing was touched/],
  ] as const) {
    it(`refuses ${what}, and touches nothing`, async () => {
      const before = await look();
      assert.match(await refusal(domainDisk, news(different)), expected);
      assert.deepEqual(await look(), before);
    });
  }

  for (const [what, different, expected] of [
    ["a relative storage", { storage: "fast" }, /storage must be an absolute path/],
    ["a raw node", { disk: "#block123" }, /#block node name changes with every start/],
    ["an argument that there is not", { storge: "/srv" }, /there is no argument `storge`; the arguments are host, domain, disk, storage/],
    ["a number for a path", { storage: 7 }, /storage is a path/],
    ["a host that is none", { host: "db-3" }, /host is an object/],
    ["no disk", { disk: undefined }, /disk is a text/],
  ] as const) {
    it(`refuses ${what} in check`, () => {
      const { failures } = domainDisk.check({}, news(different));
      assert.equal(failures.length, 1, JSON.stringify(failures));
      assert.match(failures[0]?.reason ?? "", expected);
    });
  }
});

describe(title, function () {
  this.timeout(180_000);
  const stage = onOwnStage();
  const news = (different: Properties = {}) => newsOf(stage(), different);

  it("moves by `storage`, sees that somebody moved it back by hand, and moves it again", async () => {
    const { id, outputs } = await created(domainDisk, news({ storage: stage().at("path2") }));
    assert.equal(outputs.bootPath, stage().at("path2", "old.qcow2"));
    await byHand(stage().at("path1", "by-hand.qcow2"));
    const read = await domainDisk.read(id, outputs, new Recorder());
    assert(read !== gone);
    assert.equal(read.inputs.storage, stage().at("path1"));
    assert.match(String(read.outputs.drift), /it is at .*by-hand\.qcow2/);
    const { outputs: again } = await domainDisk.update(id, read.outputs, news({ storage: stage().at("path2") }), new Recorder());
    assert.equal(again.bootPath, stage().at("path2", "by-hand.qcow2"));
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "by-hand.qcow2"));
  });

  it("of a guest that has stopped shows what was last seen, and says so", async () => {
    await stage().guest.stop();
    const run = new Recorder();
    const last = { ...news({ storage: stage().at("path2") }), bootPath: "/last", running: true };
    const read = await domainDisk.read("id", last, run);
    assert(read !== gone);
    assert.deepEqual([read.outputs.running, read.outputs.bootPath], [false, "/last"]);
    assert.match(run.said.join(), /warning: .*(nobody listens on it|there is no such socket).*What is shown is what was last seen\./);
  });

  /** As an operator does it: a copy of the whole chain, then a mirror that pivots. */
  async function byHand(target: string): Promise<void> {
    const operator = stage().operator;
    await run("qemu-img", ["create", "-q", "-f", "qcow2", target, "1G"]);
    await operator.execute("blockdev-add", { driver: "qcow2", "node-name": "hand", file: { driver: "file", filename: target } });
    const root = await operator.activeNode("vda");
    await operator.execute("blockdev-mirror", { "job-id": "hand", device: root, target: "hand", sync: "full" });
    await operator.waitForJob("hand", "ready");
    await operator.execute("job-complete", { id: "hand" });
    const isThere = async () => (await operator.activeImage("vda")) === target || undefined;
    await until(30, isThere, () => "The mirror by hand does not pivot.");
    await operator.execute("blockdev-del", { "node-name": root }).catch(() => {});
    await rename(stage().at("path2", "old.qcow2"), path.join(stage().sandbox.folder, "stale.qcow2"));
  }
});

function newsOf(stage: Stage, different: Properties): Properties {
  const { host, domain } = stage.arguments;
  return { host, domain, disk: "vda", ...different };
}
