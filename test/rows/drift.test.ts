/** A disk that somebody moved by hand, read again and again: an engine gives to a read what the last one has shown. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { Lifecycle, Properties } from "../../provider/core/lifecycle.js";
import { domainDisk } from "../../provider/resources/domain-disk/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { created, onOwnStage, Recorder, type Stage } from "../storage-migration/stage.js";

describe("a disk that was moved by hand", function () {
  this.timeout(180_000);
  let id: string;
  let inputs: Properties;
  let state: Properties;
  const disks = async (at: Stage["at"]) => {
    await mkdir(at("path3"));
    return ["vda", "vdb", "vdc"].map((name) => ({ storage: at("path1"), id: name, virtualMiB: 256 }));
  };
  const stage = onOwnStage({ disks }, async (begun) => {
    ({ inputs } = storageMigration.check({}, { ...begun.arguments, disks: ["vda", "vdb"] }));
    ({ id, outputs: state } = await created(storageMigration, inputs));
    await begun.moves({ disks: ["vda"], destination: begun.at("path3") });
  });

  it("as one of two of a resource is read the same three times: `destination` is each place with its disks, and no path", async () => {
    const reads = await readThrice(storageMigration, id, state);
    const [first] = reads;
    for (const read of reads) assert.deepEqual(read, first);
    const shown = String(first?.inputs.destination);
    assert(!shown.startsWith("/"), shown);
    assert(shown.includes(`vda in ${stage().at("path3")}`) && shown.includes(`vdb in ${stage().at("path2")}`), shown);
    assert.match(String(first?.drift), /^vda is at .*path3/);
  });

  it("as one of two of a resource stays where it is, as the other does, when the engine hands back what it read twice (`ignoreChanges`)", async () => {
    const twice = await refreshed(storageMigration, id, await refreshed(storageMigration, id, state));
    const { destination } = twice;
    const { inputs: kept, failures } = storageMigration.check({ ...inputs, destination }, { ...inputs, destination, stallSeconds: 300 });
    assert.deepEqual(failures, []);
    const { outputs } = await storageMigration.update(id, twice, kept, new Recorder());
    assert.deepEqual(await homes("vda", "vdb"), ["path3", "path2"]);
    assert.deepEqual((await refreshed(storageMigration, id, outputs)).destination, destination);
  });

  it("as one of two of a resource is still a difference after two refreshes, and the next update moves it back to `destination`", async () => {
    const twice = await refreshed(storageMigration, id, await refreshed(storageMigration, id, state));
    assert.notEqual(storageMigration.diff(id, twice, inputs, new Recorder()).changes, false);
    const { outputs } = await storageMigration.update(id, twice, inputs, new Recorder());
    assert.deepEqual(await homes("vda", "vdb"), ["path2", "path2"]);
    const home = await refreshed(storageMigration, id, outputs);
    assert.deepEqual(
      [home.destination, home.drift, storageMigration.diff(id, home, inputs, new Recorder()).changes],
      [inputs.destination, undefined, false],
    );
  });

  it("is read by a DomainDisk the same three times: where it is, and that `storage` says otherwise", async () => {
    const { host, domain } = stage().arguments;
    const made = await created(domainDisk, { host, domain, disk: "vdc", storage: stage().at("path2") });
    await stage().moves({ disks: ["vdc"], destination: stage().at("path3") });
    const reads = await readThrice(domainDisk, made.id, made.outputs);
    assert.equal(reads[0]?.inputs.storage, stage().at("path3"));
    assert.match(String(reads[0]?.drift), /^it is at .*path3/);
    for (const read of reads) assert.deepEqual(read, reads[0]);
  });

  /** Names of the directories of the images that take the guest's writes. */
  async function homes(...disks: string[]): Promise<string[]> {
    const images = await Promise.all(disks.map((disk) => stage().operator.activeImage(disk)));
    return images.map((image) => path.basename(path.dirname(image)));
  }
});

/** A refresh: what the engine then has in its state. */
async function refreshed(lifecycle: Lifecycle, id: string, outputs: Properties): Promise<Properties> {
  const read = await lifecycle.read(id, outputs, new Recorder());
  assert(typeof read === "object");
  return { ...read.outputs, ...read.inputs };
}

async function readThrice(lifecycle: Lifecycle, id: string, outputs: Properties) {
  const reads: { inputs: Properties; drift: unknown }[] = [];
  let state = outputs;
  for (let count = 0; count < 3; count++) {
    const read = await lifecycle.read(id, state, new Recorder());
    assert(typeof read === "object");
    reads.push({ inputs: read.inputs, drift: read.outputs.drift });
    state = { ...read.outputs, ...read.inputs };
  }
  return reads;
}
