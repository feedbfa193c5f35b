import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import path from "node:path";
import type { JobStatus } from "../../../provider/disk/job.js";
import type { Guest, GuestView, ImageView } from "../../../provider/hypervisor/hypervisor.js";
import { run, until } from "../../sandbox/command.js";
import { type BareGuest, Workbench } from "./bare-guest.js";

const job = "lm-00000000-mirror";
const target = "lm-00000000-tgt";
const filter = "lm-00000000-flt";

function activeImage(view: GuestView): ImageView {
  const medium = view.disks[0]?.medium;
  assert.ok(medium?.kind === "image", JSON.stringify(medium));
  return medium;
}

async function reaches(guest: Guest, status: JobStatus): Promise<void> {
  const seen = new Set<string>();
  await until(
    10,
    async () => {
      const found = (await guest.jobs()).find(({ id }) => id === job);
      seen.add(found?.status ?? "absent");
      if (found?.status === status) return found;
      await guest.wakeUp(0.2);
      return undefined;
    },
    () => `the job never was ${status}, only ${[...seen].join(", ")}`,
  );
}

/** A chain of two layers under `a/`, its base copied to `b/`, an empty target over it: what a move has made before the mirror. */
async function twoPlaces(bench: Workbench): Promise<void> {
  await run("mkdir", [bench.at("a"), bench.at("b")]);
  await bench.image("a/base.qcow2");
  await bench.io("a/base.qcow2", "write -P 0x11 0 4M");
  await bench.image("a/top.qcow2", { backing: "base.qcow2" });
  await bench.io("a/top.qcow2", "write -P 0x22 1M 1M");
  await run("cp", [bench.at("a/base.qcow2"), bench.at("b/base.qcow2")]);
  await bench.image("b/top.qcow2", { backing: "base.qcow2" });
}

async function startMirror(started: BareGuest, bench: Workbench): Promise<ImageView> {
  const image = activeImage(await started.guest.look());
  const { cache, detectZeroes } = image;
  await started.guest.openTarget(target, { path: bench.at("b/top.qcow2"), format: "qcow2", cache, detectZeroes });
  const options = { source: image.activeNode, sync: "top", copyMode: "write-blocking", maxBytesPerSecond: 0 } as const;
  await started.guest.startMirror(job, target, filter, options);
  return image;
}

async function pivot({ guest }: BareGuest): Promise<void> {
  await reaches(guest, "ready");
  await guest.complete(job);
  await reaches(guest, "pending");
  await guest.finalize(job);
  await reaches(guest, "concluded");
  await guest.dismiss(job);
}

const ways: Record<string, { args: (folder: string) => string[]; former: string[] }> = {
  "-blockdev": {
    args: (folder) => [
      ...["-blockdev", `driver=file,node-name=base-file,filename=${folder}/base.qcow2`],
      ...["-blockdev", "driver=qcow2,node-name=base,file=base-file,read-only=on"],
      ...["-blockdev", `driver=file,node-name=top-file,filename=${folder}/top.qcow2`],
      ...["-blockdev", "driver=qcow2,node-name=top,file=top-file,backing=base"],
      ...["-device", "virtio-blk-pci,drive=top,id=vda"],
    ],
    former: ["top", "top-file", "base", "base-file"],
  },
  "-drive": { args: (folder) => ["-drive", `file=${folder}/top.qcow2,format=qcow2,if=virtio`], former: [] },
  "-blockdev with an iothread": {
    args: (folder) => [
      ...["-object", "iothread,id=io", "-blockdev", `driver=qcow2,node-name=top,file.driver=file,file.filename=${folder}/top.qcow2`],
      ...["-device", "virtio-blk-pci,drive=top,id=vda,iothread=io"],
    ],
    former: ["top"],
  },
};

describe("a whole mirror", () => {
  for (const [way, { args, former }] of Object.entries(ways)) {
    it(`ends on the copied chain and leaves no node of the old one, with ${way}`, async () => {
      await using bench = await Workbench.create();
      await twoPlaces(bench);
      const started = await bench.start(args(bench.at("a")));
      const before = await startMirror(started, bench);
      await reaches(started.guest, "ready");
      const during = activeImage(await started.guest.look());
      assert.equal(during.activeNode, before.activeNode);
      assert.equal(during.rootNode, filter);
      await pivot(started);
      const view = await started.guest.look();
      const after = activeImage(view);
      assert.equal(after.activeNode, target);
      assert.deepEqual(
        after.chain.map((layer) => layer.path),
        [bench.at("b/top.qcow2"), bench.at("b/base.qcow2")],
      );
      assert.deepEqual(after.creation, before.creation);
      assert.deepEqual(view.jobs, []);
      assert.deepEqual(await started.guest.closeNodes(former), []);
      const open = (await started.guest.process())?.openFiles;
      assert.deepEqual(await whichAreOpen(bench, open), ["b/base.qcow2", "b/top.qcow2"]);
      await started.kill();
      await run("qemu-img", ["compare", bench.at("a/top.qcow2"), bench.at("b/top.qcow2")]);
    });
  }

  it("below a throttle filter pivots there, and the filter stays", async () => {
    await using bench = await Workbench.create();
    await twoPlaces(bench);
    const started = await bench.start([
      ...["-object", "throttle-group,id=tg,x-iops-total=100000"],
      ...["-blockdev", `driver=qcow2,node-name=top,file.driver=file,file.filename=${bench.at("a/top.qcow2")}`],
      ...["-blockdev", "driver=throttle,node-name=thr,file=top,throttle-group=tg", "-device", "virtio-blk-pci,drive=thr,id=vda"],
    ]);
    await startMirror(started, bench);
    await reaches(started.guest, "ready");
    assert.equal(activeImage(await started.guest.look()).activeNode, "top");
    await pivot(started);
    const after = activeImage(await started.guest.look());
    assert.deepEqual([after.rootNode, after.activeNode], ["thr", target]);
    assert.deepEqual(await started.guest.closeNodes(["top", "top-file"]), []);
    await started.kill();
    await run("qemu-img", ["compare", bench.at("a/top.qcow2"), bench.at("b/top.qcow2")]);
  });

  it("that is cancelled in pending leaves the guest on the source", async () => {
    await using bench = await Workbench.create();
    await twoPlaces(bench);
    const started = await bench.start(ways["-blockdev"]?.args(bench.at("a")) ?? []);
    const { guest } = started;
    await startMirror(started, bench);
    await reaches(guest, "ready");
    await guest.complete(job);
    await reaches(guest, "pending");
    await guest.cancel(job);
    await reaches(guest, "concluded");
    const [concluded] = await guest.jobs();
    assert.equal(concluded?.error, "Operation canceled");
    await guest.dismiss(job);
    assert.equal(activeImage(await guest.look()).activeNode, "top");
    assert.deepEqual(await guest.closeNodes([target, `${target}-file`, "never-there"]), []);
  });
});

async function whichAreOpen(bench: Workbench, open: ReadonlySet<string> | undefined): Promise<string[]> {
  const names = ["a/base.qcow2", "a/top.qcow2", "b/base.qcow2", "b/top.qcow2"];
  const identities = await Promise.all(names.map(async (name) => identityOf(path.join(bench.folder, name))));
  return names.filter((_, index) => open?.has(identities[index] ?? ""));
}

async function identityOf(file: string): Promise<string> {
  const { dev, ino } = await stat(file, { bigint: true });
  return `${dev}:${ino}`;
}
