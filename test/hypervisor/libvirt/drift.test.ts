import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { gone, type Properties } from "../../../provider/core/lifecycle.js";
import { domainDisk } from "../../../provider/resources/domain-disk/lifecycle.js";
import { run as program, until } from "../../sandbox/command.js";
import { created, Recorder } from "../../storage-migration/stage.js";
import { LibvirtStage } from "./stage.js";

describe("a disk that somebody else changed through libvirt", function () {
  this.timeout(240_000);
  let stage: LibvirtStage;
  beforeEach(async () => {
    stage = await LibvirtStage.open();
  });
  afterEach(() => stage?.[Symbol.asyncDispose]());

  const wanted = (): Properties =>
    domainDisk.check({}, { host: stage.sandbox.host, domain: stage.domain, disk: "vda", storage: stage.at("path1") }).inputs;
  const read = async (outputs: Properties, recorder = new Recorder()) => {
    const seen = await domainDisk.read("id", outputs, recorder);
    assert(seen !== gone);
    return seen;
  };

  it("shows where it is after a blockcopy --pivot, and is moved back", async () => {
    const { outputs } = await created(domainDisk, wanted());
    assert.equal((await read(outputs)).outputs.drift, undefined);
    const { virsh } = bound();
    await program("cp", ["--sparse=always", stage.at("path1/common.qcow2"), stage.at("path2")]);
    await writeFile(stage.at("by-hand.xml"), byHand(stage));
    await virsh("blockcopy", "web", "vda", "--xml", stage.at("by-hand.xml"), "--shallow", "--transient-job");
    const ready = async () => ((await virsh("dumpxml", "web")).includes("ready='yes'") ? true : undefined);
    await until(60, ready, () => "The copy by hand does not become ready.");
    await virsh("blockjob", "web", "vda", "--pivot");

    const seen = await read(outputs);
    assert.equal(seen.inputs.storage, stage.at("path2"));
    assert.equal(seen.outputs.drift, `it is at ${stage.at("path2/old.qcow2")}`);
    // its own former image lies there still, and is not ours
    await assert.rejects(domainDisk.update("id", seen.outputs, wanted(), new Recorder()), /already exists and is not ours/);
    await program("mv", [stage.at("path1/old.qcow2"), stage.at("path1/former.qcow2")]);
    await domainDisk.update("id", seen.outputs, wanted(), new Recorder());
    const old = stage.at("path1/old.qcow2");
    assert.deepEqual(await stage.places(), { live: old, inactive: old });
  });

  it("shows a persistent definition that names another file, and mends that one source", async () => {
    const { outputs } = await created(domainDisk, wanted());
    const { virsh } = bound();
    const before = await virsh("dumpxml", "--inactive", "web");
    await writeFile(stage.at("changed.xml"), before.replaceAll(stage.at("path1/old.qcow2"), stage.at("path1/other.qcow2")));
    await virsh("define", stage.at("changed.xml"));
    const seen = await read(outputs);
    assert.match(String(seen.outputs.drift), /the persistent definition names .*other\.qcow2: the next start would find that/);
    assert.equal(domainDisk.diff("id", { ...seen.inputs, ...seen.outputs }, wanted(), new Recorder()).changes, true);
    const { outputs: mended } = await domainDisk.update("id", seen.outputs, wanted(), new Recorder());
    assert.equal(mended.drift, undefined);
    const withoutChain = (xml: string) => xml.replace(/\s*<backingStore type[\s\S]*?<\/backingStore>(?=\s*<target)/, "");
    assert.equal(withoutChain(await virsh("dumpxml", "--inactive", "web")), withoutChain(before));
  });

  it("is read from definition and files while its domain is shut off, and is not moved then", async () => {
    const { outputs } = await created(domainDisk, wanted());
    await stage.guest.destroy();
    const seen = await read(outputs);
    assert.equal(seen.outputs.running, false);
    assert.deepEqual(pathsOf(seen.outputs), pathsOf(outputs));
    const elsewhere = { ...wanted(), storage: stage.at("path2") };
    await assert.rejects(domainDisk.update("id", seen.outputs, elsewhere, new Recorder()), /its domain is shut off.*Nothing was touched/);
  });

  it("says that its domain was renamed, and is gone when that is undefined", async () => {
    const { outputs } = await created(domainDisk, wanted());
    const { virsh } = bound();
    await stage.guest.destroy();
    await virsh("domrename", "web", "web2");
    const renamed = await read(outputs);
    assert.match(String(renamed.outputs.drift), /the domain is called "web2" by now/);
    await virsh("undefine", "web2");
    assert.equal(await domainDisk.read("id", outputs, new Recorder()), gone);
    await assert.rejects(created(domainDisk, wanted()), /There is no domain "web"/);
    await domainDisk.delete("id", outputs, new Recorder());
  });

  it("is no missing disk while libvirtd is down", async () => {
    const { outputs } = await created(domainDisk, wanted());
    await stage.libvirtd.stop();
    try {
      const recorder = new Recorder();
      const seen = await read(outputs, recorder);
      assert.deepEqual(seen.outputs, outputs);
      assert.match(recorder.said.join(), /warning: Unable to ask libvirt at/);
    } finally {
      await stage.libvirtd.launch();
    }
  });

  function bound() {
    return { virsh: (...args: string[]) => stage.libvirtd.virsh(...args) };
  }
});

function pathsOf({ chain }: Properties): string[] {
  return (chain as { path: string }[]).map(({ path }) => path);
}

function byHand(stage: LibvirtStage): string {
  const lower = `<backingStore type='file'><format type='qcow2'/><source file='${stage.at("path2/common.qcow2")}'/><backingStore/></backingStore>`;
  return `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${stage.at("path2/old.qcow2")}'/>${lower}</disk>`;
}
