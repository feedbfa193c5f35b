import assert from "node:assert/strict";
import { open, readdir } from "node:fs/promises";
import type { Properties } from "../../provider/core/lifecycle.js";
import { killQuietly } from "../sandbox/processes.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { onOwnStage, Recorder, type Stage } from "../storage-migration/stage.js";
import { copyLayers, endSnapshot, makeSnapshot, refused, snapshotArguments, statesOf } from "./scene.js";

describe("a mirrored snapshot of several disks", function () {
  this.timeout(180_000);
  const disks = ["vda", "vdb"];
  let proxy: QmpProxy;
  const prepare = async (begun: Stage) => {
    proxy = await QmpProxy.listen(begun.at("proxy.sock"), begun.guest.qmpSocket);
    begun.sandbox.defer(() => proxy.close());
  };
  const stage = onOwnStage({ disks: (at) => [{ storage: at("path1") }, { storage: at("path1") }] }, prepare);
  const args = (different: Properties = {}) => snapshotArguments(stage(), { domain: { qmp: proxy.path }, ...different }, disks);
  const images = () => Promise.all(disks.map((disk) => stage().operator.activeImage(disk)));
  const at = (folder: string, name: string) => disks.map((disk) => stage().at(folder, `${disk === "vda" ? "" : `${disk}-`}${name}`));

  /** Taken of both, with the layers copied. */
  async function copied(): Promise<Properties> {
    const { outputs } = await makeSnapshot(args());
    await stage().guest.waitForRecords(20);
    for (const disk of disks) await copyLayers(stage(), disk);
    return outputs;
  }

  async function isPivoted(): Promise<void> {
    assert.deepEqual(await images(), at("path2", "new.qcow2"));
    assert.deepEqual(
      (await readdir(stage().at("path2"))).filter((name) => name.startsWith("lm-")),
      [],
    );
    await stage().guest.waitForRecords(20);
    await stage().guest.stop();
    for (const [index, disk] of disks.entries()) await stage().holdsAll(at("path2", "new.qcow2")[index] ?? "", disk);
  }

  it("is taken of none when one of them is refused", async () => {
    const before = await readdir(stage().at("path1"));
    const [vda, vdb] = args().disks as { disk: string; file: string; mirror: string }[];
    await refused(makeSnapshot(args({ disks: [vda, { ...vdb, mirror: stage().at("path9/new.qcow2") }] })));
    assert.deepEqual(await images(), at("path1", "old.qcow2"));
    assert.deepEqual(await readdir(stage().at("path1")), before);
  });

  it("is taken of none when QEMU refuses one of them in the transaction", async () => {
    const before = await readdir(stage().at("path1"));
    // a mirror of somebody else that begins after everything was looked at
    const busy = async () => {
      await stage().operator.execute("blockdev-add", { driver: "null-co", "node-name": "busy", size: 2 ** 30 });
      await stage().operator.execute("blockdev-mirror", {
        "job-id": "theirs",
        device: "vdb-vdb-old",
        target: "busy",
        sync: "full",
        speed: 65536,
      });
      return "forward" as const;
    };
    proxy.before("transaction", busy);
    const { message } = await refused(makeSnapshot(args()));
    await stage().endJob("theirs");
    assert.match(message, /Unable to take a mirrored snapshot of vda, vdb .*busy.* Nothing was touched/);
    assert.deepEqual(await images(), at("path1", "old.qcow2"));
    assert.deepEqual(await readdir(stage().at("path1")), before);
    assert.deepEqual(await readdir(stage().at("path2")), []);
  });

  it("is taken of all in one transaction", async () => {
    proxy.commands.length = 0;
    const { outputs } = await makeSnapshot(args());
    assert.equal(proxy.commands.filter((command) => command === "transaction").length, 1);
    assert.deepEqual(await images(), at("path1", "old.migrate"));
    assert.deepEqual(
      disks.map((disk) => statesOf(outputs)[disk]?.state),
      ["ready", "ready"],
    );
    await stage().guest.waitForRecords(20);
  });

  it("pivots none when one copy is bad", async () => {
    const outputs = await copied();
    const copy = await open(stage().at("path2/vdb-old.qcow2"), "r+");
    await copy.write(Buffer.alloc(65536), 0, 65536, 8 * 1024 * 1024);
    await copy.close();
    assert.match((await refused(endSnapshot(outputs, "pivot"))).message, /vdb-old\.qcow2 differs/);
    assert.deepEqual(await images(), at("path1", "old.migrate"));
  });

  it("records that all pivoted before the guest is let go, so that a run whose worker is killed there is finished by the next", async () => {
    const outputs = await copied();
    proxy.before("job-finalize", () => {
      proxy.before("job-finalize", async () => {
        for (const pid of await stage().sandbox.sshd.servedPids()) killQuietly(pid);
        return "cut" as const;
      });
      return "forward";
    });
    await assert.rejects(endSnapshot(outputs, "pivot"));
    assert.equal((await images())[0], at("path2", "new.qcow2")[0]);
    const teller = new Recorder();
    await endSnapshot(outputs, "pivot", teller);
    assert.equal(teller.said.filter((line) => line.includes("a boot must use that")).length, 2);
    await isPivoted();
  });

  it("pivots all, by a new connection, where the monitor's breaks when one has pivoted", async () => {
    const outputs = await copied();
    proxy.before("job-finalize", () => {
      proxy.before("job-finalize", () => "cut");
      return "forward";
    });
    const teller = new Recorder();
    await endSnapshot(outputs, "pivot", teller);
    assert.equal(teller.said.filter((line) => line.includes("a boot must use that")).length, 2);
    await isPivoted();
  });
});
