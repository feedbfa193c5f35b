import assert from "node:assert/strict";
import { openGuest } from "../../../provider/hypervisor/qemu/guest.js";
import { Workbench } from "./bare-guest.js";
import { LocalHost } from "./local-host.js";
import { greeting, ScriptedMonitor } from "./scripted-monitor.js";

describe("what of a guest is in the way of a job", () => {
  it("is share-rw, asked of any device under the name that query-block gives it", async () => {
    await using bench = await Workbench.create();
    const devices = [
      "virtio-blk-pci",
      "scsi-hd,bus=scsi0.0",
      "nvme,serial=one",
      "nvme-ns,bus=ctrl",
      "ide-hd,bus=ide.N",
      "usb-storage,bus=usb.0",
    ];
    const disks = await Promise.all(
      devices.flatMap((device, index) =>
        ["on", "off"].map(async (share) => {
          const image = await bench.image(`${index}-${share}.qcow2`);
          const node = `n${index}-${share}`;
          const file = { driver: "file", filename: image };
          const args = ["-blockdev", JSON.stringify({ "node-name": node, driver: "qcow2", file }), "-device"];
          return [
            ...args,
            `${device.replace("N", share === "on" ? "0" : "1")},drive=${node},share-rw=${share}${index > 0 ? `,id=d${index}${share}` : ""}`,
          ];
        }),
      ),
    );
    const buses = ["-device", "virtio-scsi-pci,id=scsi0", "-device", "nvme,serial=two,id=ctrl", "-device", "qemu-xhci,id=usb"];
    const { guest } = await bench.start([...buses, ...disks.flat()]);
    const { disks: found } = await guest.look();
    const inUse = found.filter(({ medium }) => medium.kind === "image");
    assert.equal(inUse.length, disks.length);
    const shared = inUse.filter(({ medium }) => medium.kind === "image" && medium.chain[0].path.endsWith("-on.qcow2"));
    const blockers = await guest.blockers(inUse.map(({ qdev }) => qdev));
    assert.deepEqual(
      blockers.map(({ concerns, qdev }) => [concerns, qdev]),
      shared.map(({ qdev }) => ["sharing", qdev]),
    );
    assert.deepEqual(await guest.blockers(["/machine/nothing"]), []);
  });

  const saying = (status: string, migration: object, flag: unknown = false) =>
    ScriptedMonitor.start(({ execute, id }) => {
      const answers: Record<string, unknown> = { "query-status": { status }, "query-migrate": migration, "qom-get": flag };
      return { return: answers[execute] ?? {}, id };
    }, greeting);

  for (const status of ["postmigrate", "inmigrate", "finish-migrate", "colo", "save-vm", "restore-vm"])
    it(`is the run state ${status}, with what to do about it`, async () => {
      await using monitor = await saying(status, { status: "completed" });
      const guest = openGuest(new LocalHost(), { qmp: monitor.socket });
      const blockers = await guest.blockers(["vda"]);
      guest.close();
      assert.deepEqual([blockers.length, blockers[0]?.concerns], [1, "guest"]);
      assert(blockers[0]?.why.includes(`run state ${status}`));
      assert.match(blockers[0]?.advice ?? "", /^[A-Z].*\.$/);
    });

  for (const status of [
    "setup",
    "active",
    "device",
    "pre-switchover",
    "postcopy-active",
    "postcopy-paused",
    "cancelling",
    "a later release's",
  ])
    it(`is a migration that is ${status}`, async () => {
      await using monitor = await saying("running", { status });
      const guest = openGuest(new LocalHost(), { qmp: monitor.socket });
      const [blocker] = await guest.blockers(["vda"]);
      guest.close();
      assert.match(blocker?.advice ?? "", /^Wait until the migration has ended/);
    });

  for (const status of ["none", "completed", "cancelled", "failed", undefined])
    it(`is no migration that is ${status ?? "not told of"}`, async () => {
      await using monitor = await saying("paused", { ...(status && { status }), "blocked-reasons": [] });
      const guest = openGuest(new LocalHost(), { qmp: monitor.socket });
      assert.deepEqual(await guest.blockers(["vda"]), []);
      guest.close();
    });
});
