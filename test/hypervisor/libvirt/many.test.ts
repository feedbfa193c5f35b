import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { gone } from "../../../provider/core/lifecycle.js";
import { closeAllHosts } from "../../../provider/host/connection.js";
import { domainDisk } from "../../../provider/resources/domain-disk/lifecycle.js";
import { run } from "../../sandbox/command.js";
import { fewAtATime } from "../../sandbox/turns.js";
import { Recorder } from "../../storage-migration/stage.js";
import { Bench, diskXml } from "./bench.js";

const domains = 200;
const running = 20;

describe("the disks of 200 domains, 20 of them running", function () {
  this.timeout(240_000);

  let bench: Bench;
  const names = Array.from({ length: domains }, (_, index) => `d${index}`);
  const domain = (name: string) => ({ libvirt: name, uri: bench.libvirtd.uri });
  const properties = (name: string) => ({
    ...domainDisk.check({}, { host: bench.sandbox.host, domain: domain(name), disk: "vda" }).inputs,
  });
  before(async () => {
    bench = await Bench.open();
    await define(bench, names);
    await closeAllHosts(); // the bench's own connection
  });
  after(() => bench[Symbol.asyncDispose]());

  // a real engine reads four at a time for each of its machine's CPUs
  for (const atATime of [8, domains])
    it(`are read over one SSH connection in at most 5 round trips to virsh for 100 domains, ${atATime} at a time`, async () => {
      await bench.virshLog.forget();
      const began = performance.now();
      const read = await fewAtATime(atATime, names, (name) => domainDisk.read(name, properties(name), new Recorder()));
      const seconds = (performance.now() - began) / 1000;
      const outputs = read.map((one) => (one === gone ? {} : one.outputs));
      assert.deepEqual(
        outputs.map(({ chain }) => (chain as { path: string }[]).map(({ path }) => path)),
        names.map((name) => [bench.at(`many/${name}.qcow2`), bench.at("many/base.qcow2")]),
      );
      assert.equal(outputs.filter((one) => one.running === true).length, running);
      const { roundTrips, sessions } = await bench.virshLog.count();
      const connections = await bench.sandbox.sshd.connections();
      console.log(
        `      ${domains} domains, ${atATime} at a time: ${connections} SSH connection, ${sessions} virsh, ${roundTrips} round trips, ${seconds.toFixed(1)} s`,
      );
      assert.equal(connections, 1);
      assert(sessions <= 1);
      assert(roundTrips <= (5 * domains) / 100, `${roundTrips} round trips`);
    });
});

async function define(bench: Bench, names: readonly string[]): Promise<void> {
  await bench.image("many/base.qcow2");
  const top = await bench.image("many/top.qcow2", { backing: "base.qcow2" });
  await mkdir(bench.at("xml"));
  for (const name of names) {
    const file = bench.at(`many/${name}.qcow2`);
    await run("cp", ["--sparse=always", top, file]);
    const os = "<os><type arch='x86_64' machine='pc'>hvm</type></os>";
    const xml = `<domain type='qemu'><name>${name}</name><memory unit='MiB'>8</memory><vcpu>1</vcpu>${os}<devices>${diskXml(file)}<memballoon model='none'/></devices></domain>`;
    await writeFile(bench.at("xml", name), xml);
  }
  await bench.libvirtd.virsh(names.map((name) => `define ${bench.at("xml", name)}`).join("; "));
  await bench.libvirtd.virsh(
    names
      .slice(0, running)
      .map((name) => `start --paused ${name}`)
      .join("; "),
  );
}
