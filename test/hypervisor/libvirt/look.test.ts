import assert from "node:assert/strict";
import { DomainMissing, type ImageView, shutOff } from "../../../provider/hypervisor/hypervisor.js";
import { domainDisk } from "../../../provider/resources/domain-disk/lifecycle.js";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { run } from "../../sandbox/command.js";
import { refusal } from "../../storage-migration/stage.js";
import { Bench, diskXml } from "./bench.js";

describe("a domain of libvirt's", function () {
  this.timeout(180_000);
  let bench: Bench;
  before(async () => {
    bench = await Bench.open();
  });
  after(() => bench[Symbol.asyncDispose]());

  const imageOf = async (name: string, disk = 0): Promise<ImageView> => {
    const medium = (await bench.guest(name).look()).disks[disk]?.medium;
    assert.equal(medium?.kind, "image", JSON.stringify(medium));
    return medium as { kind: "image" } & ImageView; // checked above, which the compiler cannot see
  };

  for (const name of ["plain", 'it\'s; a `name` "with" $(all) \\ #1 & <é>', "--all"]) {
    it(`is seen with its live chain, called ${name}`, async () => {
      const folder = `d${[...name].reduce((sum, letter) => sum + (letter.codePointAt(0) ?? 0), 0)}`;
      await bench.image(`${folder}/base & 'co'.qcow2`);
      const top = await bench.image(`${folder}/top.qcow2`, { backing: "base & 'co'.qcow2", create: "cluster_size=4096" });
      const guest = await bench.define(name, {
        devices: diskXml(top, { driver: "cache='none' detect_zeroes='unmap'", more: "<serial>S1</serial>" }),
      });
      const view = await guest.look();
      assert.equal(view.status, "paused");
      assert.equal(`${view.domainId}\n`, await bench.libvirtd.virsh("domuuid", "--domain", name));
      const image = await imageOf(name);
      assert.deepEqual(
        image.chain.map(({ path, format, virtualBytes, backingName }) => ({ path, format, virtualBytes, backingName })),
        [
          { path: top, format: "qcow2", virtualBytes: 8 << 20, backingName: "base & 'co'.qcow2" },
          { path: bench.at(folder, "base & 'co'.qcow2"), format: "qcow2", virtualBytes: 8 << 20, backingName: undefined },
        ],
      );
      assert.deepEqual(image.cache, { direct: true, noFlush: false });
      assert.equal(image.detectZeroes, "unmap");
      assert.equal(image.creation.options.cluster_size, "4096");
      assert.equal(image.definedAt, top);
      assert.deepEqual(await guest.serials(["vda"]), ["S1"]);
      assert.deepEqual(view.jobs, []);
    });
  }

  it("that is shut off is read from its definition and the files", async () => {
    const view = await (await bench.define("off", { start: "no" })).look();
    assert.equal(view.status, shutOff);
    assert.deepEqual(
      (await imageOf("off")).chain.map(({ path }) => path),
      [bench.at("off/top.qcow2"), bench.at("off/base.qcow2")],
    );
  });

  it("that does not exist is said to be missing, and by its UUID it is found", async () => {
    await assert.rejects(
      bench.guest("nobody").look(),
      (error) => error instanceof DomainMissing && /no domain "nobody"/.test(error.message),
    );
    const guest = await bench.define("known", { start: "no" });
    const { domainId } = await guest.look();
    assert.equal((await bench.guest(domainId).look()).domainId, domainId);
    await bench.libvirtd.virsh("domrename", "known", "renamed");
    await assert.rejects(guest.look(), DomainMissing);
    assert.equal(await guest.nameOf(domainId), "renamed");
  });

  it("shows which media it cannot move", async () => {
    const raw = await bench.image("media/disk.raw", { format: "raw" });
    const devices = [
      diskXml(raw, { target: "vda", format: "raw", more: "<readonly/>" }),
      "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>",
      "<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='/dev/null'/><target dev='vdb' bus='virtio'/></disk>",
      diskXml(bench.at("media/none.qcow2"), { target: "vdc" }),
    ];
    await bench.image("media/none.qcow2");
    const guest = await bench.define("media", { devices: devices.join(""), start: "no" });
    await run("rm", [bench.at("media/none.qcow2")]);
    const media = Object.fromEntries((await guest.look()).disks.map(({ qdev, medium }) => [qdev, medium]));
    assert.equal(media.vda?.kind === "image" && media.vda.readOnly, true);
    assert.equal(media.sda?.kind, "none");
    assert.match(media.vdb?.kind === "unsupported" ? media.vdb.why : "", /of type block/);
    assert.match(media.vdc?.kind === "unsupported" ? media.vdc.why : "", /none\.qcow2/);
  });

  it("that runs on a layer which cannot be read is seen all the same, and its disk is neither moved nor pulled up", async () => {
    const base = await bench.image("unread/base.qcow2");
    const middle = await bench.image("unread/middle.qcow2", { backing: "base.qcow2" });
    const top = await bench.image("unread/top.qcow2", { backing: "middle.qcow2" });
    const guest = await bench.define("unread", { devices: diskXml(top) });
    await run("rm", [middle]);
    const image = await imageOf("unread");
    assert.deepEqual(
      image.chain.map(({ path }) => path),
      [top, middle, base],
    );
    assert.match(image.unread ?? "", /middle\.qcow2/);
    const of = { host: bench.sandbox.host, domain: { libvirt: guest.name, uri: bench.libvirtd.uri } };
    const said = /a header of its chain cannot be read \(.*middle\.qcow2.*Let this host account read all its layers/;
    assert.match(await refusal(storageMigration, { ...of, disks: ["vda"], destination: bench.at("elsewhere") }), said);
    assert.match(await refusal(domainDisk, { ...of, disk: "vda", base }), said);
  });

  it("answers after libvirtd was started anew, and its end is no missing domain", async () => {
    const guest = await bench.define("lasting", { start: "no" });
    await guest.look();
    await bench.libvirtd.stop();
    await assert.rejects(guest.look(), /Unable to ask libvirt at qemu:.*Check libvirtd there/s);
    await bench.libvirtd.launch();
    assert.equal((await guest.look()).status, shutOff);
  });
});
