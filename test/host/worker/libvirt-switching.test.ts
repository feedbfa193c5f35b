/** The switch of a guest that libvirt manages, by the real worker, with a virsh that plays its domain. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { acquireLock } from "../../../provider/host/worker/locks.js";
import { until } from "../../sandbox/command.js";
import { childrenOf, failure, hasEnded, localWorker, switchOf, withWorkers } from "./harness.js";
import { LibvirtScene } from "./libvirt-scene.js";

/** Whether a QEMU could open it for writing. */
function isFree(image: string): boolean {
  return spawnSync("qemu-io", ["-f", "raw", "-c", "quit", image]).status === 0;
}

/** A process that has the file open. */
function spawnReader(file: string): ChildProcess {
  return spawn("sh", ["-c", 'exec sleep 60 <"$1"', "sh", file], { stdio: "ignore" });
}

async function namesQemu({ pid }: ChildProcess): Promise<boolean> {
  return (await readlink(`/proc/${pid}/exe`)).endsWith("qemu-sleep");
}

describe("the switch through libvirt", function () {
  withWorkers(this);

  it("looks, records, suspends, looks, pivots, looks, defines, resumes, and ends the record, in this order", async () => {
    const scene = await LibvirtScene.set();
    const result = await scene.runs();
    assert.deepEqual([result.end, result.why, result.disks], ["switched", null, []]);
    assert((result.pauseSeconds ?? 0) > 0);
    const begin = ["dumpxml", "definition", "domstate", "record", "domstate", "suspend", "dumpxml"];
    const end = ["pivot vda", "dumpxml", "definition", "update-device", "resume", "domstate", "end-record"];
    assert.deepEqual(scene.log, [...begin, ...end]);
    await scene.isSwitched();
    scene.isOver();
  });

  it("writes nothing down before the pivot is made, and keeps each other QEMU from the source until then", async () => {
    const scene = await LibvirtScene.set({ facts: { "hang-pivot": "" } });
    assert(isFree(scene.at("from/vda")));
    const going = scene.runs();
    await scene.told("pivot vda");
    await scene.isAsBefore();
    assert(!isFree(scene.at("from/vda")));
    await scene.forget("hang-pivot");
    assert.equal((await going).end, "switched");
    assert(isFree(scene.at("from/vda.away")));
  });

  it("keeps each lock to its end, also one that the client has given back", async () => {
    const scene = await LibvirtScene.set({ facts: { "hang-pivot": "" } });
    const [other, place] = [await localWorker(), { path: scene.at("vda.lock") }];
    const lock = await acquireLock(scene.worker, place, { waitSeconds: 0 });
    const going = scene.runs();
    await scene.told("pivot vda");
    await lock.releaseAndRemove();
    await failure("held", acquireLock(other, place, { waitSeconds: 0 }));
    await scene.forget("hang-pivot");
    assert.equal((await going).end, "switched");
    await (await acquireLock(other, place, { waitSeconds: 5 })).releaseAndRemove();
  });

  it("has changed the definition before the manifests, and both before the guest goes on", async () => {
    const scene = await LibvirtScene.set({ facts: { "hang-update-device": "" } });
    const going = scene.runs();
    await scene.told("update-device");
    await scene.isAsBefore();
    await scene.put("hang-resume", "");
    await scene.forget("hang-update-device");
    await scene.told("resume");
    await scene.isSwitched();
    await scene.forget("hang-resume");
    assert.equal((await going).end, "switched");
  });

  for (const state of [
    "shut off (destroyed)",
    "crashed (panicked)",
    "paused (saving)",
    "paused (shutting down)",
    "pmsuspended",
    "in shutdown",
    "paused (crashed)",
  ])
    it(`refuses a domain that is ${state}, before anything`, async () => {
      const scene = await LibvirtScene.set({ facts: { state } });
      const { end, why } = await scene.runs();
      assert.deepEqual([end, why], ["refused", `its domain is ${state}`]);
      await scene.isAsBefore();
      scene.isOver(state);
    });

  it("refuses a domain that is migrating, and takes one that was restored paused", async () => {
    const migrating = await LibvirtScene.set({ facts: { state: "paused (migrating)", job: "Job type:         Unbounded" } });
    assert.equal((await migrating.runs()).why, "its domain is paused (migrating)");
    const restored = await LibvirtScene.set({ facts: { state: "paused (migrating)" } });
    assert.equal((await restored.runs()).end, "switched");
    assert(!restored.log.includes("resume"));
  });

  it("leaves a guest paused that an operator has paused before, or right before its own suspend", async () => {
    for (const facts of [{ state: "paused (user)" }, { "paused-then": "paused (user)" }]) {
      const scene = await LibvirtScene.set({ facts });
      const { end, pauseSeconds } = await scene.runs();
      assert.deepEqual([end, pauseSeconds], ["switched", 0]);
      assert(!scene.log.some((verb) => ["suspend", "resume"].includes(verb)), scene.log.join());
      await scene.isSwitched();
      scene.isOver("paused (user)");
    }
  });

  it("does nothing to a guest that another switch has suspended, and takes a record for past where the guest runs", async () => {
    const suspended = await LibvirtScene.set({ facts: { state: "paused (user)", recorded: "" } });
    assert.match((await suspended.runs()).why ?? "", /a switch that was cut has suspended it/);
    await suspended.isAsBefore();
    assert.deepEqual([suspended.has("recorded"), suspended.fact("state")], [true, "paused (user)"]);
    const past = await LibvirtScene.set({ facts: { recorded: "" } });
    assert.equal((await past.runs()).end, "switched");
    past.isOver();
  });

  it("ends its record where the guest cannot be suspended, and changes nothing", async () => {
    const scene = await LibvirtScene.set({ facts: { "refuse-record": "denied" } });
    assert.deepEqual(Object.values(await scene.runs()).slice(0, 2), ["refused", "denied"]);
    await scene.isAsBefore();
    scene.isOver("running (booted)");
    assert(!scene.log.includes("suspend"));
  });

  it("resumes a guest of which it is not known whether a failed suspend has stopped it", async () => {
    const scene = await LibvirtScene.set({ facts: { "refuse-suspend": "timed out" } });
    assert.equal((await scene.runs()).why, "timed out");
    await scene.isAsBefore();
    scene.isOver();
  });

  it("pivots nothing where another layer lies on top since the job began, and says which chain it found", async () => {
    const scene = await LibvirtScene.set({
      facts: {},
      async spoil(at) {
        await writeFile(at.at("theirs"), "");
        await at.put("below-vda", at.fact("source-vda"));
        await at.put("source-vda", at.at("theirs"));
      },
    });
    const { end, why, disks } = await scene.runs();
    assert.deepEqual([end, disks], ["strayed", ["vda"]]);
    assert.match(why ?? "", /its chain is \S*theirs \(raw\) <- \S*from\/vda \(raw\), and the switch was planned for/);
    assert.deepEqual([scene.log.includes("suspend"), await scene.manifests()], [false, ["before", "before"]]);
  });

  it("pivots nothing where that comes in the moment of its suspend, or the format is another one, and the guest goes on", async () => {
    const over = await LibvirtScene.set({ facts: { "hang-suspend": "" } });
    const going = over.runs();
    await over.told("suspend");
    await over.put("format-vda", "qcow2");
    await over.forget("hang-suspend");
    assert.equal((await going).end, "strayed");
    assert(!over.log.includes("pivot vda"));
    await over.isAsBefore();
    over.isOver();
  });

  it("pivots nothing where its job is gone, another one, or not ready", async () => {
    for (const [facts, why] of [
      [{ "ready-vda": "no" }, /is not ready/],
      [{ "job-vda": "active-commit" }, /is gone/],
    ] as const) {
      const scene = await LibvirtScene.set({ facts });
      const result = await scene.runs();
      assert.equal(result.end, "refused");
      assert.match(result.why ?? "", why);
      assert(!scene.log.includes("suspend"));
    }
  });

  it("sets nothing of a disk whose pivot is refused, and the guest goes on", async () => {
    const scene = await LibvirtScene.set({ facts: { "refuse-pivot": "not ready" } });
    const { end, why, disks } = await scene.runs();
    assert.deepEqual([end, why, disks], ["stayed", "vda: not ready", ["vda"]]);
    await scene.isAsBefore();
    scene.isOver();
  });

  it("believes where the disk is, and not what the pivot answers", async () => {
    const moved = await LibvirtScene.set({
      facts: { "refuse-pivot": "timed out", "hang-pivot": "" },
    });
    const going = moved.runs();
    await moved.told("pivot vda");
    await moved.put("source-vda", moved.at("to/vda"));
    await moved.forget("hang-pivot");
    assert.equal((await going).end, "switched");
    await moved.isSwitched();
    const stayed = await LibvirtScene.set({ facts: { "stays-vda": "" } });
    assert.equal((await stayed.runs()).end, "stayed");
    await stayed.isAsBefore();
  });

  it("switches several disks while the guest is suspended once, and leaves the one as it is that stays", async () => {
    const all = await LibvirtScene.set({ disks: ["vda", "vdb"] });
    assert.equal((await all.runs()).end, "switched");
    for (const disk of ["vda", "vdb"]) await all.isSwitched(disk);
    const some = await LibvirtScene.set({ disks: ["vda", "vdb"], facts: { "stays-vdb": "" } });
    const { end, disks } = await some.runs();
    assert.deepEqual([end, disks], ["stayed", ["vdb"]]);
    await some.isSwitched("vda");
    await some.isAsBefore("vdb");
    for (const scene of [all, some]) {
      const verbs = scene.log.filter((verb) => /pivot|suspend|resume/.test(verb));
      assert.deepEqual(verbs, ["suspend", "pivot vda", "pivot vdb", "resume"]);
    }
  });

  it("says in the manifests that a pivot is under way only until it is made or refused", async () => {
    const scene = await LibvirtScene.set({ marked: ["vda"], facts: { "hang-pivot": "" } });
    const going = scene.runs();
    await scene.told("pivot vda");
    assert.deepEqual(await scene.manifests(), ["under way", "under way"]);
    await scene.put("stays-vda", "");
    await scene.forget("hang-pivot");
    assert.equal((await going).end, "stayed");
    assert.deepEqual(await scene.manifests(), ["before", "before"]);
    const whole = await LibvirtScene.set({ marked: ["vda"] });
    assert.equal((await whole.runs()).end, "switched");
    await whole.isSwitched();
  });

  it("keeps an image's name that does not go stale, and tells of a quarantine name that is taken", async () => {
    const kept = await LibvirtScene.set({ stale: [] });
    assert.equal((await kept.runs()).end, "switched");
    assert(existsSync(kept.at("from/vda")));
    const taken = await LibvirtScene.set({ spoil: (scene) => writeFile(scene.at("from/vda.away"), "somebody's") });
    const { end, why } = await taken.runs();
    assert.equal(end, "switched");
    assert.match(why ?? "", /exists/);
    assert.equal(await readFile(taken.at("from/vda.away"), "utf8"), "somebody's");
    assert.deepEqual(await taken.manifests(), ["after", "after"]);
  });

  describe("goes by the persistent definition as it is then:", () => {
    it("one that is right stays, and a transient domain has none", async () => {
      const right = await LibvirtScene.set({ spoil: (scene) => scene.put("defined-vda", scene.at("to/vda")) });
      assert.equal((await right.runs()).end, "switched");
      assert(!right.log.includes("update-device"));
      const none = await LibvirtScene.set({ facts: { transient: "" } });
      assert.equal((await none.runs()).end, "switched");
      assert(!none.log.includes("definition"));
    });

    it("what an operator defines after the preparation is kept, but for where the disk is", async () => {
      const scene = await LibvirtScene.set({ facts: { "hang-pivot": "" } });
      const going = scene.runs();
      await scene.told("pivot vda");
      await scene.put("attribute-vda", "cache='none'");
      await scene.forget("hang-pivot");
      assert.equal((await going).end, "switched");
      assert.match(scene.fact("update-vda"), /cache="none"/);
      await scene.isSwitched();
    });

    it("a file of nobody's there is replaced, and another name of the image counts as the image", async () => {
      const scene = await LibvirtScene.set({ spoil: (at) => at.put("defined-vda", at.at("from/other")) });
      assert.equal((await scene.runs()).end, "switched");
      assert.equal(scene.fact("defined-vda"), scene.at("to/vda"));
    });

    it("one that gives the image to another disk is refused before anything", async () => {
      const scene = await LibvirtScene.set({
        disks: ["vda", "vdb"],
        async spoil(at) {
          await at.put("defined-vda", at.at("from/vdb"));
          await at.put("defined-vdb", at.at("from/vda"));
        },
      });
      const { end, why } = await scene.runs();
      assert.equal(end, "refused");
      assert.match(why ?? "", /the persistent definition gives its image \S*from\/vda to the disk vdb/);
      assert(!scene.log.includes("suspend"));
    });

    it("one that is swapped in the middle of the switch follows the images, so that none becomes two disks", async () => {
      const scene = await LibvirtScene.set({ disks: ["vda", "vdb"], facts: { "hang-pivot": "" } });
      const going = scene.runs();
      await scene.told("pivot vda");
      await scene.put("defined-vda", scene.at("from/vdb"));
      await scene.put("defined-vdb", scene.at("from/vda"));
      await scene.forget("hang-pivot");
      await going;
      assert.deepEqual([scene.fact("defined-vda"), scene.fact("defined-vdb")], [scene.at("to/vdb"), scene.at("to/vda")]);
    });

    it("one that gives another disk's image to this one in the middle of the switch is left alone, and told", async () => {
      const scene = await LibvirtScene.set({ disks: ["vda", "vdb"], switched: ["vda"], facts: { "hang-pivot": "" } });
      const going = scene.runs();
      await scene.told("pivot vda");
      await scene.put("defined-vda", scene.at("from/vdb"));
      await scene.forget("hang-pivot");
      const { end, why } = await going;
      assert.equal(end, "switched");
      assert.match(why ?? "", /the persistent definition gives vda the image of vdb, \S*from\/vdb/);
      assert(!scene.log.includes("update-device"));
    });

    it("one that cannot be changed is told, once the guest goes on", async () => {
      const scene = await LibvirtScene.set({ facts: { "refuse-update-device": "read-only" } });
      const { end, why } = await scene.runs();
      assert.deepEqual([end, why], ["switched", "the persistent definition of vda: read-only"]);
      assert.deepEqual(await scene.manifests(), ["after", "after"]);
      scene.isOver();
    });
  });

  it("resumes again until libvirt says that the guest runs, and ends the record after that, again too", async () => {
    const scene = await LibvirtScene.set({ facts: { "refuse-resume-once": "busy", "refuse-end-once": "busy" } });
    assert.deepEqual(Object.values(await scene.runs()).slice(0, 2), ["switched", null]);
    assert.equal(scene.log.filter((verb) => verb === "resume").length, 2);
    scene.isOver();
  });

  for (const verb of ["pivot", "dumpxml", "inactive", "update-device", "resume", "end"])
    it(`waits for a libvirtd that goes away at ${verb}, and ends the switch when it is there again`, async () => {
      const scene = await LibvirtScene.set({ facts: { "hang-suspend": "" } });
      const going = scene.runs();
      await scene.told("suspend");
      await scene.put(`hang-${verb}`, "");
      await scene.forget("hang-suspend");
      await scene.told({ pivot: "pivot vda", inactive: "definition", end: "end-record" }[verb] ?? verb);
      await scene.put("refuse-all", "Cannot recv data: Connection reset by peer");
      await scene.forget(`hang-${verb}`);
      const before = scene.fact("log").split("\n").length;
      const isAsked = () =>
        scene
          .fact("log")
          .split("\n")
          .slice(before)
          .filter((line) => line === "hostname").length > 1 || undefined;
      await until(10, isAsked, () => "nobody asks whether it is there again");
      await scene.forget("refuse-all");
      const { end } = await going;
      assert.equal(end, verb === "pivot" ? "stayed" : "switched");
      if (verb === "pivot") await scene.isAsBefore();
      else await scene.isSwitched();
      scene.isOver();
    });

  it("is refused where libvirtd is down before it begins", async () => {
    const scene = await LibvirtScene.set({ facts: { "refuse-all": "Failed to connect" } });
    const { end, why } = await scene.runs();
    assert.equal(end, "refused");
    assert.match(why ?? "", /libvirt does not show its domain: Failed to connect/);
  });

  it("follows a guest that is destroyed and started from the source after the pivot: nothing is written down, and it is not resumed", async () => {
    const scene = await LibvirtScene.set();
    await scene.put("after-pivot", `number 2\nstate running (booted)\nsource-vda ${scene.at("from/vda")}`);
    const { end, disks } = await scene.runs();
    assert.deepEqual([end, disks], ["ended", ["vda"]]);
    await scene.isAsBefore();
    assert(!scene.log.includes("resume"));
  });

  it("follows one that is started from the destination, and renames the former image only where nobody has it open", async () => {
    const facts = (scene: LibvirtScene) => scene.put("after-pivot", "number 2\nstate running (booted)");
    const closed = await LibvirtScene.set();
    await facts(closed);
    assert.deepEqual(Object.values(await closed.runs()).slice(0, 3), ["ended", null, []]);
    await closed.isSwitched();
    const open = await LibvirtScene.set();
    await facts(open);
    const reader = spawnReader(open.at("from/vda"));
    try {
      assert.equal((await open.runs()).end, "ended");
      assert.deepEqual(await open.manifests(), ["after", "after"]);
      assert(existsSync(open.at("from/vda")));
    } finally {
      reader.kill();
    }
  });

  it("goes by the definition where the guest has ended after the pivot", async () => {
    const scene = await LibvirtScene.set();
    await scene.put("after-pivot", "number -\nstate shut off (destroyed)");
    const { end, disks } = await scene.runs();
    assert.deepEqual([end, disks], ["ended", ["vda"]]);
    await scene.isAsBefore();
    const defined = await LibvirtScene.set();
    await defined.put("after-pivot", `number -\nstate shut off (destroyed)\ndefined-vda ${defined.at("to/vda")}`);
    assert.deepEqual((await defined.runs()).disks, []);
    await defined.isSwitched();
  });

  it("tells of a QEMU that lives where libvirt shows its domain as shut off, as a libvirtd does that cannot read its record", async () => {
    const scene = await LibvirtScene.set();
    await scene.put("after-pivot", "number -\nstate shut off (unknown)");
    await copyFile("/bin/sleep", scene.at("qemu-sleep"));
    const qemu = spawn("sh", ["-c", 'exec "$1" 60 >>"$2"', "sh", scene.at("qemu-sleep"), scene.at("from/vda")], { stdio: "ignore" });
    try {
      await until(
        10,
        async () => (await namesQemu(qemu)) || undefined,
        () => "It did not begin.",
      );
      const { end, why, disks } = await scene.runs();
      assert.deepEqual([end, disks], ["lost", ["vda"]]);
      assert(why?.includes(`its QEMU (process ${qemu.pid}) lives`), why ?? "");
      await scene.isAsBefore();
    } finally {
      qemu.kill();
    }
  });

  it("is carried to its end although its client is gone", async () => {
    const scene = await LibvirtScene.set({ facts: { "hang-pivot": "" } });
    const going = scene.runs().catch(() => undefined);
    await scene.told("pivot vda");
    scene.child.stdin?.end();
    scene.child.kill("SIGTERM");
    await scene.forget("hang-pivot");
    await going;
    await hasEnded(scene.child, 10);
    await scene.isSwitched();
    scene.isOver();
  });

  it("is carried to its end although the worker is killed", async () => {
    const scene = await LibvirtScene.set({ facts: { "hang-pivot": "" } });
    const going = scene.runs().catch(() => undefined);
    await scene.told("pivot vda");
    const child = switchOf(scene.child);
    scene.child.kill("SIGKILL");
    await going;
    await scene.forget("hang-pivot");
    await until(
      10,
      () => (existsSync(`/proc/${child}/exe`) ? undefined : true),
      () => "The worker's child does not end.",
    );
    await scene.isSwitched();
    scene.isOver();
  });

  for (const [verb, end] of [
    ["suspend", "stayed"],
    ["pivot", "switched"],
    ["update-device", "switched"],
    ["resume", "switched"],
  ] as const)
    it(`is ended by another child of the worker's where the first is killed at ${verb}, once its virsh has done that`, async () => {
      const scene = await LibvirtScene.set({ marked: ["vda"], facts: { [`hang-${verb}`]: "" } });
      const going = scene.runs();
      await scene.told(verb === "pivot" ? "pivot vda" : verb);
      process.kill(switchOf(scene.child), "SIGKILL");
      assert(!isFree(scene.at("from/vda")) || verb === "suspend", "another QEMU can open the source");
      await scene.forget(`hang-${verb}`);
      assert.equal((await going).end, end);
      if (end === "switched") await scene.isSwitched();
      else await scene.isAsBefore();
      scene.isOver();
    });

  it("is carried to its end although its virsh is killed", async () => {
    const scene = await LibvirtScene.set({ facts: { "hang-resume": "" } });
    const going = scene.runs();
    await scene.told("resume");
    const [virsh] = childrenOf(switchOf(scene.child));
    assert(virsh);
    process.kill(virsh, "SIGKILL");
    await scene.forget("hang-resume");
    assert.equal((await going).end, "switched");
    await scene.isSwitched();
    scene.isOver();
  });

  it("tells of a manifest that is gone, and the guest goes on", async () => {
    const scene = await LibvirtScene.set({ facts: { "hang-pivot": "" } });
    const going = scene.runs();
    await scene.told("pivot vda");
    await rm(scene.at("to/vda.json.next"));
    await scene.forget("hang-pivot");
    const { end, why } = await going;
    assert.equal(end, "switched");
    assert.match(why ?? "", /no longer under its name/);
    scene.isOver();
  });
});
