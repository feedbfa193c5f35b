import assert from "node:assert/strict";
import { Workbench } from "./bare-guest.js";

/** With what stands before `drive=` of a disk, and where its guest's requests wait in a switch. */
const devices = [
  ["virtio-blk-pci", "in-guest"],
  ["virtio-blk-pci,id=named", "in-guest"],
  ["virtio-blk-pci,ioeventfd=off", "virtio-blk-device"],
  ["scsi-hd,bus=virtio.0", "in-guest"],
  ["scsi-hd,id=disk,bus=virtio.0", "in-guest"],
  ["scsi-hd,bus=polled.0", "scsi-hd"],
  ["scsi-hd,bus=lsi.0", "scsi-hd"],
  ["scsi-hd,bus=mega.0", "scsi-hd"],
  ["ide-hd,bus=ide.0", "ide-hd"],
  ["nvme,serial=one", "nvme"],
  ["usb-storage,bus=usb.0", "scsi-hd"],
  ["sd-card,bus=sd-bus", "sd-card"],
] as const;

const controllers = [
  ...["virtio-scsi-pci,id=virtio", "virtio-scsi-pci,id=polled,ioeventfd=off", "lsi53c895a,id=lsi", "megasas,id=mega", "qemu-xhci,id=usb"],
  "sdhci-pci,id=sd",
].flatMap((device) => ["-device", device]);

describe("the requests of a guest", () => {
  it("wait in its own queue in a switch only where virtio is told of them by events", async () => {
    await using bench = await Workbench.create();
    const disks = devices.flatMap(([device], index) => {
      const node = JSON.stringify({ "node-name": `n${index}`, driver: "null-co", size: 2 ** 20, "read-zeroes": true });
      return ["-blockdev", node, "-device", device.replace(/^([^,]*)/, `$1,drive=n${index}`)];
    });
    const { guest } = await bench.start([...controllers, ...disks]);
    const { disks: found } = await guest.look();
    const answers = await Promise.all(found.map(async ({ qdev }) => guest.requestsOf(qdev)));
    const words = answers.map((requests) => (requests.wait === "in-guest" ? "in-guest" : requests.device));
    assert.deepEqual(words.toSorted(), devices.map(([, expected]) => expected).toSorted());
  });
});
