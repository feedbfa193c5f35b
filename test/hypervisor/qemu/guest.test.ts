import assert from "node:assert/strict";
import { stat, symlink } from "node:fs/promises";
import { isKind } from "../../../provider/core/errors.js";
import { findDisk } from "../../../provider/hypervisor/find-disk.js";
import { openGuest } from "../../../provider/hypervisor/qemu/guest.js";
import { QmpRefusal } from "../../../provider/hypervisor/qemu/refusal.js";
import { run, until } from "../../sandbox/command.js";
import { type BareGuest, Workbench } from "./bare-guest.js";
import { LocalHost } from "./local-host.js";
import { imageOf } from "./view.js";

const cache = { direct: false, noFlush: false };

describe("a guest", () => {
  let bench: Workbench;
  let started: BareGuest;

  before(async () => {
    bench = await Workbench.create();
    await run("mkdir", [bench.at("a b"), bench.at("elsewhere")]);
    for (const name of ["x", "y", "z"]) await bench.image(`a b/${name}.qcow2`);
    const args = [
      ...["-drive", "file=x.qcow2,format=qcow2,if=none,id=one", "-device", "virtio-blk-pci,drive=one,id=two,serial=S1"],
      ...["-drive", "file=y.qcow2,format=qcow2,if=none,id=two", "-device", "virtio-blk-pci,drive=two,id=three,serial=S2"],
      ...["-drive", "file=z.qcow2,format=qcow2,if=none,id=four", "-device", "virtio-blk-pci,drive=four,id=five,serial=S2"],
    ];
    started = await bench.start(args, { folder: bench.at("a b"), socket: "my qmp.sock" });
  });
  after(() => bench[Symbol.asyncDispose]());

  it("has a process, found by a socket that was named relatively and with a space", async () => {
    const process = await started.guest.process();
    assert.equal(process?.pid, started.pid);
    assert.equal(process?.workingDirectory, bench.at("a b"));
    const { dev, ino } = await stat(bench.at("a b/x.qcow2"), { bigint: true });
    assert.ok(process?.openFiles.has(`${dev}:${ino}`));
  });

  it("has a process that other users do not see", async () => {
    assert.equal(
      await openGuest(new LocalHost("nobody"), { qmp: started.socket }).process(),
      process.getuid?.() === 0 ? undefined : await started.guest.process(),
    );
  });

  it("without a UUID is known by the socket's real path on this machine", async () => {
    await symlink(bench.at("a b"), bench.at("link"));
    const { domainId } = await started.guest.look();
    assert.match(domainId, /^[0-9a-f]{32}$/);
    started.guest.close();
    const linked = openGuest(new LocalHost(), { qmp: bench.at("link/my qmp.sock") });
    assert.equal((await linked.look()).domainId, domainId);
    linked.close();
  });

  it("lacks no feature", async () => {
    assert.deepEqual(await started.guest.missingFeatures(), []);
  });

  it("finds a disk by any of its names, and by its serial where no name fits", async () => {
    const view = await started.guest.look();
    const found = await Promise.all(["one", "three", "/machine/peripheral/five", "S1"].map((name) => findDisk(started.guest, view, name)));
    assert.deepEqual(
      found.map(({ qdev }) => qdev.split("/")[3]),
      ["two", "three", "five", "two"],
    );
  });

  for (const [what, name, why] of [
    ["two disks go by", "two", /both go by it/],
    ["two serials are like", "S2", /serial number "S2".* and /],
    ["changes with every start", "#block123", /change with every start/],
    ["no disk has", "vdx", /It has .*two.*three.*five/],
  ] as const) {
    it(`refuses a name that ${what}`, async () => {
      const view = await started.guest.look();
      await assert.rejects(findDisk(started.guest, view, name), (error) => isKind(error, "user") && why.test(error.message));
    });
  }

  it("probes a file that it may write, leaves nothing open, and says QEMU's words about one that it cannot", async () => {
    await bench.image("elsewhere/probe", { format: "raw", size: "64k" });
    await started.guest.probe("lm-00000000-probe", bench.at("elsewhere/probe"), cache);
    await started.guest.probe("lm-00000000-probe", bench.at("elsewhere/probe"), { direct: true, noFlush: false });
    assert.equal(
      (await started.guest.look()).nodes.some(({ name }) => name.startsWith("lm-")),
      false,
    );
    await assert.rejects(started.guest.probe("lm-00000000-probe", bench.at("elsewhere/missing"), cache), (error) => {
      assert.ok(isKind(error, "user") && error.cause instanceof QmpRefusal);
      assert.match(error.message, /elsewhere\/missing.*No such file/);
      return true;
    });
  });

  it("holds a qcow2 so that nobody else writes to it, and probes it no more", async () => {
    await bench.image("elsewhere/held.qcow2");
    await started.guest.hold("lm-00000000-held-1", bench.at("elsewhere/held.qcow2"), "qcow2");
    await assert.rejects(bench.io("elsewhere/held.qcow2", "write 0 64k"), /lock/);
    assert.deepEqual(await started.guest.closeNodes(["lm-00000000-held-1", "lm-00000000-held-1-file"]), []);
    await bench.io("elsewhere/held.qcow2", "write 0 64k");
  });

  it("keeps nodes that are in use, and says why", async () => {
    const image = imageOf(await started.guest.look(), "one");
    const [left, ...more] = await started.guest.closeNodes(["never-there", image.activeNode]);
    assert.deepEqual([left?.node, more], [image.activeNode, []]);
    assert.match(left?.why ?? "", /in use|not owned/);
  });

  it("mirrors a raw image whole, at the speed it is told to", async () => {
    await using own = await Workbench.create();
    await own.image("a.raw", { format: "raw", size: "4M" });
    await own.io("a.raw", "write -P 7 1M 2M", "raw");
    await own.image("b.raw", { format: "raw", size: "4M" });
    const { guest } = await own.start(["-drive", "file=a.raw,format=raw,if=virtio"]);
    const { activeNode } = imageOf(await guest.look(), "virtio0");
    await guest.graph?.openTarget("lm-00000000-tgt", { path: own.at("b.raw"), format: "raw", cache, detectZeroes: "off" });
    await guest.graph?.startMirror(
      { job: "lm-00000000-mirror", target: "lm-00000000-tgt", filter: "lm-00000000-flt" },
      { source: activeNode, sync: "full", copyMode: "background", maxBytesPerSecond: 1 },
    );
    assert.deepEqual(
      (await guest.jobs()).map(({ type, status, ioStatus }) => [type, status, ioStatus]),
      [["mirror", "running", "ok"]],
    );
    await guest.setSpeed("lm-00000000-mirror", 0);
    const ready = await until(
      60,
      async () => (await guest.jobs()).find(({ status }) => status === "ready"),
      () => "never ready",
    );
    assert.ok((ready.totalProgress ?? 0) > 0 && ready.currentProgress === ready.totalProgress);
    await run("cmp", [own.at("a.raw"), own.at("b.raw")]);
    await guest.cancel("lm-00000000-mirror");
  });
});

describe("a monitor that writes pretty JSON", () => {
  it("is understood", async () => {
    await using bench = await Workbench.create();
    const chardev = ["-chardev", `socket,id=m,path=${bench.at("qmp.sock")},server=on,wait=off`, "-mon", "chardev=m,mode=control,pretty=on"];
    const { guest } = await bench.start([...chardev, "-uuid", "5a9e7c6e-0000-4000-8000-000000000001"], { chardev: "its own" });
    const view = await guest.look();
    assert.deepEqual([view.domainId, view.status, view.disks], ["5a9e7c6e-0000-4000-8000-000000000001", "prelaunch", []]);
  });
});
