import assert from "node:assert/strict";
import { run } from "../../sandbox/command.js";
import { makeEncrypted, passPhrase } from "../../sandbox/encrypted.js";
import { mayHaveASecondTurn } from "../../second-turn/leave.js";
import { Workbench } from "./bare-guest.js";
import { diskOf, imageOf } from "./view.js";

const secret = ["-object", `secret,id=s,data=${passPhrase}`];

/** Titles of images that qemu-img makes with a key. */
const encrypted = /LUKS|encrypted/;

describe("a medium", function () {
  this.timeout(180_000); // see makeEncrypted()

  const whyNot: Record<string, { make: (bench: Workbench) => Promise<unknown>; args: string[]; why: RegExp }> = {
    "in LUKS": {
      make: (bench) => makeEncrypted("luks", bench.at("x")),
      args: [...secret, "-blockdev", "driver=luks,key-secret=s,node-name=x,file.driver=file,file.filename=x"],
      why: /encrypted/,
    },
    "in an encrypted qcow2": {
      make: (bench) => makeEncrypted("qcow2", bench.at("x")),
      args: [...secret, "-blockdev", "driver=qcow2,encrypt.format=luks,encrypt.key-secret=s,node-name=x,file.driver=file,file.filename=x"],
      why: /encrypted/,
    },
    "with its content in another file": {
      make: (bench) => bench.image("x", { create: [`data_file=${bench.at("content.raw")}`] }),
      args: ["-blockdev", "driver=qcow2,node-name=x,file.driver=file,file.filename=x"],
      why: /external data file/,
    },
    "in another format": {
      make: (bench) => bench.image("x", { format: "vmdk" }),
      args: ["-blockdev", "driver=vmdk,node-name=x,file.driver=file,file.filename=x"],
      why: /format is vmdk/,
    },
    "that is made up": {
      make: () => Promise.resolve(),
      args: ["-blockdev", "driver=raw,node-name=x,file.driver=null-co,file.size=1048576"],
      why: /null-co/,
    },
    "that is a slice": {
      make: (bench) => bench.image("x", { format: "raw" }),
      args: ["-blockdev", "driver=raw,node-name=x,offset=65536,size=65536,file.driver=file,file.filename=x"],
      why: /slice/,
    },
    "with a throttle below its format": {
      make: (bench) => bench.image("x"),
      args: [
        ...["-object", "throttle-group,id=tg,x-iops-total=1000"],
        ...["-blockdev", "driver=qcow2,node-name=x,file.driver=throttle,file.throttle-group=tg,file.file.driver=file,file.file.filename=x"],
      ],
      why: /throttle node between/,
    },
    "on a base elsewhere": {
      make: async (bench) => {
        await bench.image("base", { format: "vmdk" });
        await run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "base", "-F", "vmdk", bench.at("x"), "8M"]);
      },
      args: ["-blockdev", "driver=qcow2,node-name=x,file.driver=file,file.filename=x"],
      why: /below x: its format is vmdk/,
    },
  };
  for (const [what, { make, args, why }] of Object.entries(whyNot)) {
    it(`${what} is unsupported, in words`, async function () {
      if (encrypted.test(what))
        mayHaveASecondTurn(this, "qemu-img times the derivation of a key, and gives up where it gets too little of the processor");
      await using bench = await Workbench.create();
      await make(bench);
      const { guest } = await bench.start([...args, "-device", "virtio-blk-pci,drive=x,id=vda"]);
      const { medium } = diskOf(await guest.look(), "vda");
      assert.ok(medium.kind === "unsupported", JSON.stringify(medium));
      assert.match(medium.why, why);
    });
  }

  it("that QEMU names by options is read through them", async () => {
    await using bench = await Workbench.create();
    await bench.image("base.qcow2");
    await bench.image("top.qcow2", { backing: "base.qcow2" });
    await run("qemu-img", ["bitmap", "--add", bench.at("top.qcow2"), "bitmap0"]);
    await run("qemu-img", ["snapshot", "-c", "snapshot0", bench.at("top.qcow2")]);
    const { guest } = await bench.start([
      ...["-blockdev", `driver=qcow2,node-name=base,read-only=on,file.driver=file,file.filename=${bench.at("base.qcow2")}`],
      ...["-blockdev", "driver=qcow2,node-name=top,backing=base,file.driver=file,file.filename=top.qcow2"],
      ...["-device", "virtio-blk-pci,drive=top,id=vda"],
    ]);
    const view = await guest.look();
    assert.equal(view.nodes.find(({ name }) => name === "top")?.file, "top.qcow2");
    const image = imageOf(view, "vda");
    assert.deepEqual(
      image.chain.map(({ path, backingName }) => [path, backingName]),
      [
        ["top.qcow2", "base.qcow2"],
        [bench.at("base.qcow2"), undefined],
      ],
    );
    assert.deepEqual([image.dirtyBitmaps, image.internalSnapshots], [["bitmap0"], ["snapshot0"]]);
  });

  it("below blkdebug is read through it", async () => {
    await using bench = await Workbench.create();
    await bench.image("x.qcow2");
    const below = "file.driver=blkdebug,file.image.driver=file,file.image.filename=x.qcow2";
    const named = await bench.start(["-blockdev", `driver=qcow2,node-name=x,${below}`, "-device", "virtio-blk-pci,drive=x,id=vda"]);
    assert.equal(imageOf(await named.guest.look(), "vda").chain[0].path, "x.qcow2");
    await named.kill();
    const injecting = `${below},file.inject-error.0.event=read_aio,file.inject-error.0.once=on`;
    const optioned = await bench.start(["-blockdev", `driver=qcow2,node-name=x,${injecting}`, "-device", "virtio-blk-pci,drive=x,id=vda"], {
      socket: "again.sock",
    });
    assert.equal(imageOf(await optioned.guest.look(), "vda").chain[0].path, "x.qcow2");
  });

  it("that is open twice is told apart by the graph", async () => {
    await using bench = await Workbench.create();
    await bench.image("x", { format: "raw", size: "1M" });
    const twice = [1, 2].flatMap((n) => [
      ...["-blockdev", `driver=raw,node-name=x${n},read-only=on,file.driver=file,file.filename=x`],
      ...["-blockdev", `driver=throttle,node-name=thr${n},throttle-group=tg,read-only=on,file=x${n}`],
      ...["-device", `virtio-blk-pci,drive=thr${n},id=vd${n}`],
    ]);
    const { guest } = await bench.start(["-object", "throttle-group,id=tg,x-iops-total=1000", ...twice]);
    const view = await guest.look();
    assert.deepEqual([imageOf(view, "vd1").activeNode, imageOf(view, "vd2").activeNode], ["x1", "x2"]);
  });

  it("without a format node is raw", async () => {
    await using bench = await Workbench.create();
    await bench.image("x", { format: "raw", size: "1M" });
    const { guest } = await bench.start(["-blockdev", "driver=file,node-name=x,filename=x", "-device", "virtio-blk-pci,drive=x,id=vda"]);
    const image = imageOf(await guest.look(), "vda");
    assert.deepEqual([image.activeNode, image.chain[0].format, image.creation.format], ["x", "raw", "raw"]);
  });
});
