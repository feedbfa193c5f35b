import assert from "node:assert/strict";
import { type BareGuest, Workbench } from "./bare-guest.js";
import { diskOf, imageOf } from "./view.js";

const throttled = (file: string, ...more: string[]) => [
  ...["-object", "throttle-group,id=tg,x-iops-total=1000"],
  ...["-blockdev", `driver=file,node-name=f0,filename=${file},cache.direct=on`],
  ...["-blockdev", "driver=qcow2,node-name=n0,file=f0,detect-zeroes=unmap,discard=unmap"],
  ...["-blockdev", "driver=throttle,node-name=t0,file=n0,throttle-group=tg", ...more],
];

describe("a look at a guest", () => {
  let bench: Workbench;
  let started: BareGuest;

  before(async () => {
    bench = await Workbench.create();
    await bench.image("base.qcow2");
    await bench.image("top.qcow2", { backing: "base.qcow2", create: ["cluster_size=16k", "lazy_refcounts=on"] });
    await bench.image("old.qcow2", { backing: "base.qcow2", create: ["compat=0.10"] });
    await bench.image("plain.raw", { format: "raw", size: "1M" });
    await bench.image("cd.raw", { format: "raw", size: "1M" });
    await bench.image("nvme.raw", { format: "raw", size: "1M" });
    await bench.image("ide.qcow2", {});
    started = await bench.start([
      ...throttled("top.qcow2"),
      ...["-object", "iothread,id=io", "-device", "virtio-blk-pci,id=disk0,drive=t0,serial=SER0,iothread=io"],
      ...["-drive", "file=old.qcow2,if=virtio,format=qcow2,throttling.iops-total=1000,cache=unsafe"],
      ...["-drive", "file=plain.raw,if=none,id=drive1,format=raw,cache=none"],
      ...["-device", "virtio-scsi-pci,id=scsi", "-device", "scsi-hd,drive=drive1,bus=scsi.0,id=sda,serial=SER1"],
      ...["-drive", "file=nvme.raw,if=none,id=nv,format=raw", "-device", "nvme,drive=nv,serial=SER2"],
      ...["-device", "ide-cd,id=cd0", "-drive", "if=ide,index=2,media=cdrom,file=cd.raw,format=raw"],
      ...["-drive", "if=none,id=unused,file=ide.qcow2,format=qcow2"],
    ]);
  });
  after(() => bench[Symbol.asyncDispose]());

  it("tells the chain, the active node and how it is open, below a throttle filter", async () => {
    const image = imageOf(await started.guest.look(), "disk0");
    assert.equal(image.rootNode, "t0");
    assert.equal(image.activeNode, "n0");
    assert.deepEqual(image.cache, { direct: true, noFlush: false });
    assert.equal(image.detectZeroes, "unmap");
    assert.equal(image.readOnly, false);
    const options = {
      compat: "1.1",
      cluster_size: "16384",
      lazy_refcounts: "on",
      refcount_bits: "16",
      extended_l2: "off",
      compression_type: "zlib",
    };
    assert.deepEqual(image.creation, { format: "qcow2", options });
    const layers = image.chain.map(({ path, format, virtualBytes, backingName }) => ({ path, format, virtualBytes, backingName }));
    assert.deepEqual(layers, [
      { path: "top.qcow2", format: "qcow2", virtualBytes: 8 << 20, backingName: "base.qcow2" },
      { path: "base.qcow2", format: "qcow2", virtualBytes: 8 << 20, backingName: undefined },
    ]);
    assert.ok(image.chain.every(({ allocatedBytes }) => allocatedBytes > 0 && allocatedBytes < 1 << 20));
  });

  it("tells the same of -drive, old headers and raw files", async () => {
    const view = await started.guest.look();
    const old = imageOf(view, "virtio0");
    assert.match(old.activeNode, /^#block/);
    assert.equal(old.activeNode, old.rootNode);
    assert.deepEqual(old.cache, { direct: false, noFlush: true });
    assert.deepEqual(old.creation, { format: "qcow2", options: { compat: "0.10", cluster_size: "65536" } });
    assert.deepEqual(
      old.chain.map(({ path }) => path),
      ["old.qcow2", "base.qcow2"],
    );
    const raw = imageOf(view, "drive1");
    assert.deepEqual(raw.creation, { format: "raw", options: {} });
    assert.deepEqual(raw.cache, { direct: true, noFlush: false });
    assert.deepEqual(
      raw.chain.map(({ path, format }) => [path, format]),
      [["plain.raw", "raw"]],
    );
  });

  it("names each device in every way that lasts, and leaves out drives without a device", async () => {
    const { disks } = await started.guest.look();
    assert.deepEqual(disks.map(({ names }) => names.join(" ").replace(/(unattached.device)\[\d+\]/, "$1[?]")).sort(), [
      "/machine/peripheral-anon/device[0] nv",
      "/machine/peripheral-anon/device[1]/virtio-backend /machine/peripheral-anon/device[1] virtio0",
      "/machine/peripheral/disk0/virtio-backend /machine/peripheral/disk0 disk0",
      "/machine/unattached/device[?] ide2-cd0",
      "cd0 /machine/peripheral/cd0",
      "sda /machine/peripheral/sda drive1",
    ]);
  });

  it("knows an empty drive and a read-only medium", async () => {
    const view = await started.guest.look();
    assert.deepEqual(diskOf(view, "cd0").medium, { kind: "none" });
    assert.equal(imageOf(view, "ide2-cd0").readOnly, true);
  });
});
