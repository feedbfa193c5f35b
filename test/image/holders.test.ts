import assert from "node:assert/strict";
import { chmod } from "node:fs/promises";
import path from "node:path";
import { type Held, holdersOf, othersIn, othersWith } from "../../provider/image/holders.js";
import { type BareGuest, Workbench } from "../hypervisor/qemu/bare-guest.js";
import { LocalHost } from "../hypervisor/qemu/local-host.js";
import { makeFolder } from "../sandbox/folders.js";

/** A QEMU that has opened all that its command line names: only then it answers. */
async function opened(bench: Workbench, args: readonly string[], options: { socket?: string } = {}): Promise<BareGuest> {
  const started = await bench.start(args, options);
  await started.guest.jobs();
  return started;
}

const none = { reading: 0, writing: 0 };
const guest = { pid: 7, program: "qemu-system-x86_64", access: "writes" } as const;
const held = (open: Held["open"], locks: Held["locks"] = { reading: 1, writing: 1 }) => othersIn({ open, locks });

describe("who else has an image open", () => {
  it("is nobody where one QEMU has it, through however many descriptors", () => {
    assert.equal(held([guest]), undefined);
    assert.equal(held([guest, guest], { reading: 2, writing: 2 }), undefined);
  });

  it("is another QEMU that reads or writes, a server of images, or anybody who writes", () => {
    for (const program of ["qemu-system-aarch64", "qemu-kvm", "kvm (deleted)", "qemu-nbd", "qemu-storage-daemon"])
      assert.equal(
        held([guest, { pid: 8, program, access: "reads" }]),
        `qemu-system-x86_64 (process 7) writes, ${program} (process 8) reads`,
      );
    for (const program of ["dd", "qemu-img", "qemu-io"])
      assert.match(held([guest, { pid: 8, program, access: "writes" }]) ?? "", /\(process 8\) writes$/);
  });

  it("is not a program that only reads, nor the daemon that only locks", () => {
    for (const program of ["cp", "qemu-img", "qemu-io", "virtqemud", "libvirtd"])
      assert.equal(held([guest, { pid: 8, program, access: "reads" }], { reading: 2, writing: 1 }), undefined);
    assert.equal(held([guest, { pid: 8, program: "virtlockd", access: "writes" }]), undefined);
  });

  it("shows by locks where processes are hidden, and is never ruled out by them", () => {
    assert.equal(held([], none), undefined);
    assert.equal(held([]), undefined);
    assert.match(held([], { reading: 2, writing: 2 }) ?? "", /lock for writing/);
    assert.match(held([], { reading: 2, writing: 1 }) ?? "", /lock for reading/);
    assert.equal(held([{ pid: 8, program: "qemu-img", access: "reads" }], { reading: 2, writing: 1 }), undefined);
  });
});

describe("who has an image open on a real host", function () {
  this.timeout(180_000);

  it("is seen with what it does, whatever the path is called and by whichever name it was opened", async () => {
    await using bench = await Workbench.create();
    const host = new LocalHost();
    const image = await bench.image("it's a disk.raw", { format: "raw" });
    const disk = { "node-name": "disk", driver: "raw", file: { driver: "file", filename: image } };
    const one = await opened(bench, ["-blockdev", JSON.stringify(disk), "-device", "virtio-blk-pci,drive=disk"]);
    assert.deepEqual(await holdersOf(host, [image]), [
      { open: [{ pid: one.pid, program: "qemu-system-x86_64", access: "writes" }], locks: { reading: 1, writing: 1 } },
    ]);
    const second = [
      "-blockdev",
      JSON.stringify({ ...disk, "read-only": true, "force-share": true }),
      "-device",
      "virtio-blk-pci,drive=disk",
    ];
    const reader = await opened(bench, second, { socket: "second.sock" });
    const [seen] = await holdersOf(host, [image]);
    assert.deepEqual(
      new Set(seen?.open.map(({ pid, access }) => `${pid} ${access}`)),
      new Set([`${one.pid} writes`, `${reader.pid} reads`]),
    );
    await reader.kill();
    assert.deepEqual(await othersWith(host, [image]), [undefined]);
  });

  it("is seen by the locks of two that write, where the account may see neither", async () => {
    await using bench = await Workbench.create();
    await chmod(bench.folder, 0o755);
    const image = await bench.image("disk.raw", { format: "raw" });
    const disk = JSON.stringify({ "node-name": "disk", driver: "raw", file: { driver: "file", filename: image } });
    const args = ["-blockdev", disk, "-device", "virtio-blk-pci,drive=disk,share-rw=on"];
    const stranger = new LocalHost("nobody");
    await opened(bench, args, { socket: "one.sock" });
    assert.deepEqual(await othersWith(stranger, [image]), [undefined]);
    await opened(bench, args, { socket: "two.sock" });
    const expected = process.getuid?.() === 0 ? /^a process that this host account may not see holds QEMU's lock for writing$/ : /writes, /;
    assert.match((await othersWith(stranger, [image]))[0] ?? "nobody", expected);
  });

  it("is an error for a file that is not there", async () => {
    const folder = await makeFolder("livedisk-holders-");
    await using _ = { [Symbol.asyncDispose]: folder.remove };
    await assert.rejects(holdersOf(new LocalHost(), [path.join(folder.path, "nothing.raw")]), /Unable to see who has .*nothing\.raw open/);
  });
});
