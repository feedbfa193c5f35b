import assert from "node:assert/strict";
import { domainDisk } from "../../../provider/resources/domain-disk/lifecycle.js";
import { mirroredSnapshot } from "../../../provider/resources/mirrored-snapshot/lifecycle.js";
import { threeLayers } from "../../sandbox/disks.js";
import { snapshotOf } from "../../storage-migration/snapshot.js";
import { created, Recorder, refusal } from "../../storage-migration/stage.js";
import { LibvirtStage } from "./stage.js";

const title = "the layers of a disk of libvirt's";
let stage: LibvirtStage;

async function open(): Promise<void> {
  stage = await LibvirtStage.open({ disks: (at) => [{ storage: at("path1"), layers: threeLayers() }] });
}

const of = (more: object) => ({ host: stage.sandbox.host, domain: stage.domain, ...more });
const withBase = (base: string) => of({ disk: "vda", base: stage.at("path1", base) });

describe(title, function () {
  this.timeout(240_000);
  before(open);
  after(() => stage[Symbol.asyncDispose]());

  it("take no mirrored snapshot: libvirt's own way is named, and nothing is touched", async () => {
    const before = await snapshotOf([stage.at("path1"), stage.at("path2")], undefined, [stage.at("path1/top.qcow2")]);
    const disks = [{ disk: "vda", file: stage.at("path1/top.migrate"), mirror: stage.at("path2/new.qcow2") }];
    const said = await refusal(mirroredSnapshot, of({ disks, onDelete: "pivot" }));
    assert.match(said, /cannot let a mirror stand on layers that are copied after it was begun.*StorageMigration with strategy "snapshot"/);
    assert.deepEqual(await snapshotOf([stage.at("path1"), stage.at("path2")], undefined, [stage.at("path1/top.qcow2")]), before);
    assert.deepEqual(
      (await stage.virshLog.sent()).filter((line) => /^(snapshot-create|blockcopy)/.test(line)),
      [],
    );
  });

  it("are looked for at the libvirtd that domain.uri names", async () => {
    const uri = `qemu:///system?socket=${stage.at("nobody")}`;
    const elsewhere = { ...withBase("base.qcow2"), domain: { libvirt: "web", uri } };
    await assert.rejects(created(domainDisk, elsewhere), (error: Error) => error.message.includes(`Unable to ask libvirt at ${uri}`));
  });

  it("are not pulled up where snapshots or checkpoints name them", async () => {
    await using checkpoint = await checkpointOf("web", "since");
    assert.match(
      await refusal(domainDisk, withBase("base.qcow2")),
      new RegExp(`checkpoints \\(${checkpoint.name}\\).*virsh checkpoint-delete`),
    );
  });
});

async function checkpointOf(domain: string, name: string): Promise<AsyncDisposable & { name: string }> {
  await stage.libvirtd.virsh("checkpoint-create-as", domain, name);
  return {
    name,
    async [Symbol.asyncDispose]() {
      await stage.libvirtd.virsh("checkpoint-delete", domain, name);
    },
  };
}

describe(title, function () {
  this.timeout(240_000);
  before(open);
  after(() => stage[Symbol.asyncDispose]());

  it("are pulled up to the declared base, with a relative name, and another base shows as drift", async () => {
    const { id, outputs } = await created(domainDisk, withBase("middle.qcow2"));
    const seen = await domainDisk.read(id, { ...outputs, base: stage.at("path1/base.qcow2") }, new Recorder());
    assert(typeof seen === "object");
    assert.equal(seen.inputs.base, stage.at("path1/middle.qcow2"));
    const { outputs: pulled } = await created(domainDisk, withBase("base.qcow2"));
    const chain = [stage.at("path1/top.qcow2"), stage.at("path1/base.qcow2")];
    assert.deepEqual(
      (pulled.chain as { path: string }[]).map(({ path }) => path),
      chain,
    );
    assert.deepEqual(await stage.chainOf(stage.at("path1/top.qcow2")), chain);
    assert.deepEqual(await stage.places(), { live: chain[0], inactive: chain[0] });
    assert((await stage.virshLog.sent()).some((line) => /^blockpull --keep-relative .*'--base'/.test(line)));
    await stage.survivesRestart(stage.at("path1/top.qcow2"));
  });
});
