import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { holdersOf, othersIn } from "../../provider/image/holders.js";
import { Workbench } from "../hypervisor/qemu/bare-guest.js";
import { LocalHost } from "../hypervisor/qemu/local-host.js";
import { run, until } from "../sandbox/command.js";
import { mountSmall } from "../sandbox/file-systems.js";
import { mourn, watchOver } from "../sandbox/processes.js";

/** Holds a file open for writing, beside so many descriptors of the kernel's anonymous inode. Its pid once it has them. */
const holder = `
import os, resource, select, sys, time
count = int(sys.argv[2])
if count: resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, max(count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
file = os.open(sys.argv[1], os.O_RDWR)
many = [select.epoll() for each in range(count)]
print(os.fstat(many[0].fileno()).st_ino if count else 0, flush=True)
time.sleep(600)`;

async function hold(bench: Workbench, file: string, count = 0): Promise<{ pid: number; anonymous: number }> {
  const child = watchOver(spawn("python3", ["-c", holder, file, String(count)], { stdio: ["ignore", "pipe", "inherit"] }), "a holder");
  bench.defer(() => mourn(child, "SIGKILL"));
  assert.ok(child.stdout);
  const [said] = await once(child.stdout, "data");
  return { pid: child.pid ?? 0, anonymous: Number(String(said)) };
}

/** A file of the folder with this inode number, by making files until there is one: a fresh ext4 counts them up. */
async function fileWithInode(folder: string, inode: number): Promise<string> {
  for (let each = 0; each < 8000; each++) {
    const file = path.join(folder, `${each}.raw`);
    await writeFile(file, "");
    if ((await stat(file)).ino === inode) return file;
  }
  throw new Error(`no file in ${folder} has inode ${inode}`);
}

/** A file that a QEMU serves by FUSE, over a plain file with the same name. */
async function served(bench: Workbench, name: string): Promise<{ file: string; daemon: ChildProcess }> {
  const below = await bench.image(`${name}.below`, { format: "raw" });
  const file = bench.at(name);
  await writeFile(file, "plain");
  const disk = JSON.stringify({ driver: "file", "node-name": "file", filename: below });
  const served = JSON.stringify({ type: "fuse", id: "fuse", "node-name": "file", mountpoint: file, writable: true });
  const daemon = spawn("qemu-storage-daemon", ["--blockdev", disk, "--export", served], { stdio: "ignore" });
  watchOver(daemon, "a FUSE server");
  bench.defer(() => run("umount", ["--lazy", file]).catch(() => {}));
  bench.defer(() => mourn(daemon, "SIGKILL"));
  const size = () => stat(file).then((found) => (found.size > 5 ? true : undefined));
  await until(60, size, () => "the FUSE export does not come up");
  return { file, daemon };
}

/** Stopped, and what the kernel has remembered of its files is outdated. */
async function freeze(bench: Workbench, { daemon, file }: { daemon: ChildProcess; file: string }): Promise<void> {
  // first of all: a killed process that has a file there waits for the server (fuse_flush)
  bench.defer(() => mourn(daemon, "SIGKILL"));
  daemon.kill("SIGSTOP");
  const answers = () =>
    run("timeout", ["1", "stat", file]).then(
      () => undefined,
      () => true,
    );
  await until(60, answers, () => "the stopped FUSE server still answers");
}

describe("the search for who has an image open", function () {
  this.timeout(180_000);

  it("looks past thousands of eventfds that share the image's inode number, and finds both that write", async () => {
    await using bench = await Workbench.create();
    const busy = bench.at("busy.raw");
    await writeFile(busy, "");
    const { anonymous } = await hold(bench, busy, 12_000);
    await mountSmall(bench, bench.at("ext4"), { kind: "ext4", sizeMiB: 64 });
    const image = await fileWithInode(bench.at("ext4"), anonymous);
    const [one, two] = [await hold(bench, image), await hold(bench, image)];
    const [seen] = await holdersOf(new LocalHost(), [image]);
    assert.deepEqual(new Set(seen?.open.map(({ pid, access }) => `${pid} ${access}`)), new Set([`${one.pid} writes`, `${two.pid} writes`]));
    assert.ok(seen && othersIn(seen)?.includes(`(process ${two.pid}) writes`));
  });

  it("finds who has opened the image by another of its names, or keeps it open after all are gone but one", async () => {
    await using bench = await Workbench.create();
    const image = await bench.image("disk.raw", { format: "raw" });
    const other = bench.at("new\nline.raw");
    await run("ln", [image, other]);
    const { pid } = await hold(bench, other);
    await rm(other);
    assert.deepEqual(
      (await holdersOf(new LocalHost(), [image]))[0]?.open.map((each) => each.pid),
      [pid],
    );
  });

  it("does not wait for a dead file system that somebody else has a file on, be it a QEMU, and says so where that could be the image", async function () {
    if (!existsSync("/dev/fuse")) this.skip();
    await using bench = await Workbench.create();
    const dead = await served(bench, "dead.raw");
    const alive = await served(bench, "alive.raw");
    await hold(bench, dead.file);
    const disk = JSON.stringify({ "node-name": "disk", driver: "file", filename: dead.file, locking: "off" });
    const guest = await bench.start(["-blockdev", disk]);
    await guest.guest.jobs();
    const image = await bench.image("disk.raw", { format: "raw" });
    const writer = await hold(bench, image);
    await freeze(bench, dead);
    assert.deepEqual(
      (await holdersOf(new LocalHost(), [image]))[0]?.open.map(({ pid }) => pid),
      [writer.pid],
    );
    // libfuse counts inodes from 1 on each mount
    await assert.rejects(
      holdersOf(new LocalHost(), [alive.file]),
      /Unable to see who has .*alive\.raw open on here: it did not end and told no progress for 10 s/,
    );
  });
});
