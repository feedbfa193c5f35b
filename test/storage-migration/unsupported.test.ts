/** Images that are no local qcow2 or raw file: refused in a sentence that says what they are, with nothing touched. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { truncate, writeFile } from "node:fs/promises";
import { run, until } from "../sandbox/command.js";
import { rawImage } from "../sandbox/disks.js";
import { makeEncrypted, passPhrase } from "../sandbox/encrypted.js";
import { watchOver } from "../sandbox/processes.js";
import { onOwnStage, onStage } from "./stage.js";

interface Kind {
  /** Makes it; `file` is a path that is free. @returns what `blockdev-add` opens it with */
  make(file: string): Promise<Record<string, unknown>>;
  why: RegExp;
}

const asFile = (filename: string) => ({ driver: "file", filename });

describe("a disk whose image is no local qcow2 or raw file", function () {
  this.timeout(180_000);
  const stage = onOwnStage({ disks: (at) => [{ storage: at("path1"), bus: "virtio-scsi" }] }, ({ operator }) =>
    operator.execute("object-add", { "qom-type": "secret", id: "phrase", data: passPhrase }),
  );

  const kinds: Record<string, Kind> = {
    "in LUKS": {
      async make(file) {
        await makeEncrypted("luks", file);
        return { driver: "luks", "key-secret": "phrase", file: asFile(file) };
      },
      why: /it is encrypted/,
    },
    "an encrypted qcow2": {
      async make(file) {
        await makeEncrypted("qcow2", file);
        return { driver: "qcow2", encrypt: { format: "luks", "key-secret": "phrase" }, file: asFile(file) };
      },
      why: /it is encrypted/,
    },
    "a qcow2 with an external data file": {
      async make(file) {
        await run("qemu-img", ["create", "-q", "-f", "qcow2", "-o", `data_file=${file}.raw`, file, "8M"]);
        return { driver: "qcow2", file: asFile(file) };
      },
      why: /its content lies in an external data file/,
    },
    "a vmdk": {
      async make(file) {
        await run("qemu-img", ["create", "-q", "-f", "vmdk", file, "8M"]);
        return { driver: "vmdk", file: asFile(file) };
      },
      why: /its format is vmdk; only qcow2 and raw can be moved/,
    },
    "a vdi": {
      async make(file) {
        await run("qemu-img", ["create", "-q", "-f", "vdi", file, "8M"]);
        return { driver: "vdi", file: asFile(file) };
      },
      why: /its format is vdi; only qcow2 and raw can be moved/,
    },
    "a qcow2 on a vmdk": {
      async make(file) {
        await run("qemu-img", ["create", "-q", "-f", "vmdk", `${file}.base`, "8M"]);
        await run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", `${file}.base`, "-F", "vmdk", file]);
        return { driver: "qcow2", file: asFile(file) };
      },
      why: /of a layer below .*: its format is vmdk/,
    },
    "on a block device": {
      async make(file) {
        await writeFile(file, "");
        await truncate(file, 8 * 2 ** 20);
        const device = (await run("losetup", ["--find", "--show", file])).trim();
        stage().sandbox.defer(async () => {
          await stage().guest.kill();
          await run("losetup", ["--detach", device]);
        });
        return { driver: "raw", file: { driver: "host_device", filename: device } };
      },
      why: /\/dev\/loop\d+ lies on host_device, which is no plain file/,
    },
    "on the network": {
      async make(file) {
        await run("qemu-img", ["create", "-q", "-f", "raw", file, "8M"]);
        const socket = `${file}.nbd`;
        const server = watchOver(spawn("qemu-nbd", ["--socket", socket, "--format", "raw", "--persistent", file]), "qemu-nbd");
        stage().sandbox.defer(() => server.kill());
        await until(
          60,
          () => existsSync(socket) || undefined,
          () => "qemu-nbd does not listen.",
        );
        return { driver: "raw", file: { driver: "nbd", server: { type: "unix", path: socket } } };
      },
      why: /nbd/,
    },
  };

  /** Gives the guest such a disk. @returns its id */
  async function plugged({ make }: Kind, number: number): Promise<string> {
    const node = `odd-${number}`;
    const options = await make(stage().at("path1", node));
    await stage().operator.execute("blockdev-add", { "node-name": node, ...options });
    await stage().operator.execute("device_add", { driver: "scsi-hd", bus: "scsi0.0", drive: node, id: `disk-${node}` });
    return `disk-${node}`;
  }

  for (const [number, [what, kind]] of Object.entries(kinds).entries()) {
    it(`is refused for one ${what}`, async () => {
      const message = await stage().refuses({ disks: [await plugged(kind, number)] });
      assert.match(message, kind.why);
      assert.match(message, /Nothing was touched\. Name a disk whose chain is made of local qcow2 or raw files\.$/);
    });
  }

  it("is left alone by a move of all images", async () => {
    for (const [number, kind] of Object.values(kinds).entries()) await plugged(kind, number);
    assert.deepEqual(Object.keys(await stage().moves({ disks: undefined })), ["vda"]);
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "old.qcow2"));
  });
});

describe("a raw image of an emulated nvme drive", function () {
  this.timeout(180_000);
  const stage = onStage({ disks: (at) => [{ storage: at("path1"), bus: "nvme", layers: rawImage() }] });
  const why =
    /it is a raw image of the device nvme.*Nothing was touched\. Give it to the guest as virtio-blk or virtio-scsi .*, or as a qcow2\.$/;

  it("is refused, since QEMU would end in the switch", async () => assert.match(await stage().refuses({}), why));

  it("is refused for an overlay that would be committed into it", async () => {
    assert.match(await stage().refuses({ strategy: "snapshot", restartDuringMove: "from-manifest" }), why);
  });
});
