import assert from "node:assert/strict";
import { stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { run } from "../../sandbox/command.js";
import { Workbench } from "./bare-guest.js";
import { activeImage, filter, job, pivot, reaches, startMirror, switchMirror, target, twoPlaces } from "./mirror-steps.js";

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
      const before = await startMirror(started.guest, bench);
      await reaches(started.guest, "ready");
      const during = activeImage(await started.guest.look());
      assert.equal(during.activeNode, before.activeNode);
      assert.equal(during.rootNode, filter);
      await pivot(started.guest, bench);
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
    await startMirror(started.guest, bench);
    await reaches(started.guest, "ready");
    assert.equal(activeImage(await started.guest.look()).activeNode, "top");
    await pivot(started.guest, bench);
    const after = activeImage(await started.guest.look());
    assert.deepEqual([after.rootNode, after.activeNode], ["thr", target]);
    assert.deepEqual(await started.guest.closeNodes(["top", "top-file"]), []);
    await started.kill();
    await run("qemu-img", ["compare", bench.at("a/top.qcow2"), bench.at("b/top.qcow2")]);
  });

  it("whose switch is called off in pending leaves the guest on the source", async () => {
    await using bench = await Workbench.create();
    await twoPlaces(bench);
    const started = await bench.start(ways["-blockdev"]?.args(bench.at("a")) ?? []);
    const { guest } = started;
    await startMirror(started.guest, bench);
    await writeFile(bench.at("after"), "somebody's");
    assert.equal((await switchMirror(guest, bench)).end, "stayed");
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
