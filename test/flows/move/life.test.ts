/** The life of a move on the model of a guest: begun, switched and tidied; undone; cut and gone on with. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readlinkSync } from "node:fs";
import { chmod, mkdir, readFile, symlink } from "node:fs/promises";
import { isKind, OutcomeUnknownError, UnreachableError, UserError } from "../../../provider/core/errors.js";
import { type Converged, converge, HalfWay, release } from "../../../provider/flows/move/converge.js";
import type { Goal } from "../../../provider/flows/move/plan.js";
import type { Site } from "../../../provider/flows/shared/site.js";
import { GuestNotRunning } from "../../../provider/hypervisor/hypervisor.js";
import { mourn, watchOver } from "../../sandbox/processes.js";
import { lostAt } from "../lost-connection.js";
import { keyOf, type ModelScene, modelScene } from "../model-scene.js";
import type { Answers } from "./noting-guest.js";

let here: ModelScene;

const snapshot = { strategy: "snapshot", restartDuringMove: "from-manifest" };
const before = ["base.raw", "disk.qcow2"];
const names = (...paths: string[]) => paths.map((each) => here.scene.at(each));
const atSource = () => names("path1/disk.qcow2", "path1/base.raw");
const atDestination = () => names("path2/disk.qcow2", "path2/base.raw");
const refused = (pattern: RegExp) => (thrown: unknown) => isKind(thrown, "user") && pattern.test(thrown.message);
const halfWay = (pattern: RegExp) => (thrown: unknown) => thrown instanceof HalfWay && pattern.test(thrown.message);

function move(answers: Answers = {}, options: Record<string, unknown> = {}, more: Partial<Site> = {}): Promise<Converged> {
  return converge({ ...here.site(answers, options), ...more }, here.disks, "arrive");
}

/** As delete asks for it. */
async function undo(options: Record<string, unknown> = {}, goal: Goal = "withdraw"): Promise<Converged> {
  const { destination: _, ...site } = here.site({}, options);
  return converge(site, here.disks, goal);
}

async function isGone(): Promise<void> {
  assert.deepEqual([await here.files("path1"), await here.files("path2")], [before, []]);
  assert.deepEqual([here.model.chain("vda"), here.model.jobs], [atSource(), []]);
}

/** At the destination, with nothing of the move left but the renamed former image. */
async function isThere(): Promise<void> {
  assert.deepEqual([here.model.chain("vda"), here.model.jobs], [atDestination(), []]);
  const [base, quarantined, ...more] = await here.files("path1");
  assert.deepEqual([base, more], ["base.raw", []]);
  assert.match(quarantined ?? "", /^disk\.qcow2\.lm-/);
  assert.deepEqual(await here.files("path2"), before);
}

async function current(side: string): Promise<string> {
  return JSON.parse(await readFile(here.scene.at(`${side}/lm-${keyOf("vda")}.manifest.json`), "utf8")).current;
}

describe("a move", () => {
  beforeEach(async () => {
    here = await modelScene();
  });
  afterEach(() => here.scene[Symbol.asyncDispose]());

  it("by a mirror puts the guest at the destination, and leaves the renamed former image", async () => {
    const { seen, outcome } = await move();
    await isThere();
    assert.equal(seen.disks[0]?.seen.phase, "settled");
    const told = outcome.tell("vda");
    assert.equal(told?.copiedBytes, 2 ** 20);
    assert.match(String(told?.left), /the image that was active before/);
    assert(told?.pauseMs !== undefined);
    assert.deepEqual(here.model.named, [`lm-${keyOf("vda")}-tgt-a`]);
  });

  it("to where the disk is does nothing", async () => {
    await move();
    const done = here.model.done.length;
    const { seen } = await move();
    assert.deepEqual([seen.disks[0]?.seen.phase, here.model.done.length], ["settled", done]);
  });

  for (const [collapse, chain] of [
    ["commit", ["path2/disk.qcow2", "path2/base.raw"]],
    ["pull", ["path2/disk.qcow2", "path2/base.raw"]],
    ["none", undefined],
  ] as const)
    it(`by a snapshot with collapse ${collapse} puts the guest at the destination`, async () => {
      await move({}, { ...snapshot, collapse });
      const found = here.model.chain("vda");
      if (chain) assert.deepEqual(found, names(...chain));
      else assert.deepEqual(found.slice(1), atDestination());
      assert(found.every((file) => file.startsWith(here.scene.at("path2"))));
      assert.deepEqual(here.model.jobs, []);
      const [base, quarantined, ...more] = await here.files("path1");
      assert.deepEqual([base, more], ["base.raw", []]);
      assert.match(quarantined ?? "", /^disk\.qcow2\.lm-/);
      assert(!(await here.files("path2")).some((name) => name.includes("manifest") || name.includes("lock")));
    });

  for (const [afterwards, files] of [
    ["keep", ["base.raw", "disk.qcow2"]],
    ["delete", ["base.raw"]],
  ] as const)
    it(`with afterwards ${afterwards} leaves ${files.join(" and ")} at the source`, async () => {
      await symlink(here.scene.at("path1"), here.scene.at("link"));
      here.model.restart({ vda: here.scene.at("link/disk.qcow2") });
      await move({}, { afterwards, link: here.scene.at("link") });
      assert.deepEqual(await here.files("path1"), files);
      assert.equal(readlinkSync(here.scene.at("link")), here.scene.at("path2"));
    });

  it("of two disks switches both at once, and copies what they share once", async () => {
    await here.plug("vdb");
    await move();
    assert.deepEqual([here.model.chain("vda"), here.model.chain("vdb")], [atDestination(), names("path2/vdb.qcow2", "path2/base.raw")]);
    const ends = here.model.done.map((line) => line.split(" ")[0]).filter((word) => word === "complete" || word === "finalize");
    assert.deepEqual(ends, ["complete", "complete", "finalize", "finalize"]);
  });

  it("compares the copies where that is asked for", async () => {
    await move({}, { verify: "full" });
    await isThere();
    assert.match(here.scene.told.join("\n"), /vda comparing .*path2\/base\.raw/);
  });

  describe("to where its base is already", () => {
    const refusedWith = (pattern: RegExp) => (thrown: unknown) => refused(pattern)(thrown) && !(thrown instanceof HalfWay);
    const onlyTheBase = async () => assert.deepEqual([await here.files("path2"), here.model.named], [["base.raw"], ["disk-node"]]);
    beforeEach(() => here.copy("base.raw"));

    it("takes that where it holds the same, copies nothing, and leaves no node of the comparison", async () => {
      const base = await here.scene.which("path2/base.raw");
      const { outcome } = await move();
      await isThere();
      assert.deepEqual([await here.scene.which("path2/base.raw"), outcome.tell("vda")?.copiedBytes], [base, 0]);
      assert.deepEqual(here.model.named, [`lm-${keyOf("vda")}-tgt-a`]);
    });

    it("is refused where it holds something else", async () => {
      await here.scene.write("path2/base.raw", "other".padEnd(2 ** 20));
      await assert.rejects(move(), refusedWith(/path2\/base\.raw already exists with other content than .*path1\/base\.raw/));
      await onlyTheBase();
    });

    it("is refused where QEMU cannot open it", async () => {
      const hold = () => Promise.reject(new UserError("Permission denied"));
      await assert.rejects(move({ hold }), refusedWith(/path2\/base\.raw already exists, and QEMU cannot open it \(Permission denied\)/));
      await onlyTheBase();
    });
  });

  it("that is refused before the first byte leaves nothing, and is not remembered", async () => {
    await here.scene.write("path2/disk.qcow2");
    await assert.rejects(
      move(),
      (thrown) => refused(/path2\/disk\.qcow2 already exists and is not ours/)(thrown) && !(thrown instanceof HalfWay),
    );
    assert.deepEqual([await here.files("path1"), here.model.done], [before, []]);
  });

  it("of an image that more than one has open is refused before the first byte", async () => {
    const image = openSync(here.scene.at("path1/disk.qcow2"), "r+");
    const writers = [0, 1].map(() => watchOver(spawn("sleep", ["60"], { stdio: ["ignore", image, "ignore"] }), "a writer"));
    closeSync(image);
    try {
      await assert.rejects(
        move(),
        (thrown) => refused(/path1\/disk\.qcow2 is open more than once \(sleep/)(thrown) && !(thrown instanceof HalfWay),
      );
      assert.deepEqual([await here.files("path1"), here.model.done], [before, []]);
    } finally {
      for (const writer of writers) await mourn(writer, "SIGKILL");
    }
  });

  it("that QEMU may not write at leaves nothing, and is not remembered", async () => {
    const probe = () => Promise.reject(new UserError("Permission denied"));
    await assert.rejects(move({ probe }), (thrown) => refused(/its QEMU cannot open a file in .*path2 \(Permission denied\)/)(thrown));
    await isGone();
  });

  it("whose probe's connection is lost is remembered, since QEMU may have it open", async () => {
    await assert.rejects(
      move(lostAt(here.model, "probe", "after")),
      halfWay(/the connection was lost.* current: vda at .*path1\/disk\.qcow2/),
    );
    await move();
    await isThere();
  });

  it("of files with one name from two directories is refused", async () => {
    await mkdir(here.scene.at("path3"));
    const { copyFile } = await import("node:fs/promises");
    for (const name of before) await copyFile(here.scene.at(`path1/${name}`), here.scene.at(`path3/${name}`));
    here.model.plug("vdz", "z-node", here.scene.at("path3/disk.qcow2"));
    await assert.rejects(
      converge(here.site(), ["vda", "vdz"], "arrive"),
      refused(/path3\/disk\.qcow2 and .*path1\/disk\.qcow2 have the same name, and would both be .*path2\/disk\.qcow2/),
    );
    await isGone();
  });

  it("that cannot be frozen is undone by the next delete, and its image is current meanwhile", async () => {
    const freeze = () => Promise.reject(new UserError("op blocked"));
    await assert.rejects(
      move({ snapshot: freeze }, snapshot),
      halfWay(/Unable to freeze vda.*op blocked.*The guest runs on .*path1\/disk\.qcow2, which is current/),
    );
    assert.equal(await current("path1"), here.scene.at("path1/disk.qcow2"));
    await undo(snapshot);
    await isGone();
  });

  it("begins no step once the run is asked to stop, and says where the guest is", async () => {
    const site = here.site();
    await assert.rejects(
      move({}, {}, { run: { ...site.run, stop: AbortSignal.abort() } }),
      refused(/Stopped as asked.*vda on .*path1\/disk\.qcow2\. Nothing is lost/),
    );
    await isGone();
  });

  it("takes no further step where the stop comes in the middle, and goes on in the next run", async () => {
    const stop = new AbortController();
    const { run } = here.site();
    const openTarget = here.model.answers().openTarget as (...args: unknown[]) => unknown;
    const stopping = (...args: unknown[]) => {
      stop.abort();
      return openTarget(...args);
    };
    await assert.rejects(move({ openTarget: stopping }, {}, { run: { ...run, stop: stop.signal } }), halfWay(/Stopped as asked/));
    assert.deepEqual(here.model.chain("vda"), atSource());
    await move();
    await isThere();
  });

  it("is refused while somebody else's job runs on the disk, before the mirror too", async () => {
    await assert.rejects(move(lostAt(here.model, "openTarget", "before")), halfWay(/lost/));
    const { look } = here.model.answers() as { look: () => { nodes: object[]; jobs: object[] } };
    const theirs = () => {
      const view = look();
      const job = { id: "backup", type: "backup", status: "running", ioStatus: "ok" };
      const filter = { name: "theirs", driver: "copy-before-write", file: here.scene.at("path1/disk.qcow2") };
      return { ...view, jobs: [job], nodes: [...view.nodes, filter] };
    };
    await assert.rejects(move({ look: theirs }), halfWay(/somebody else's job runs on it \(backup backup\).*what was copied is kept/));
    assert(!here.model.done.some((line) => line.startsWith("startMirror")));
  });

  it("is no other resource's in the same process, until it is released", async () => {
    await move();
    const other = { run: { ...here.site().run, urn: "urn::move::other" } };
    await assert.rejects(move({}, {}, other), refused(/the same disk of the same guest/));
    await release(here.site(), here.disks);
    await move({}, {}, other);
    await release({ ...here.site(), ...other }, here.disks);
  });
});

describe("a move that was cut", () => {
  beforeEach(async () => {
    here = await modelScene();
  });
  afterEach(() => here.scene[Symbol.asyncDispose]());

  for (const [method, when] of [
    ["openTarget", "after"],
    ["startMirror", "before"],
    ["startMirror", "after"],
    ["switch", "before"],
  ] as const) {
    it(`${when} ${method} by a mirror is gone on with by the next run`, async () => {
      await assert.rejects(move(lostAt(here.model, method, when)), halfWay(/the connection was lost/));
      await move();
      await isThere();
    });
  }

  it("before finalize by a mirror is finished by the next run", async () => {
    here.model.workerDies = { afterStages: 3 };
    await assert.rejects(move(), halfWay(/the connection was lost/));
    await move();
    await isThere();
  });

  for (const [method, when] of [
    ["openTarget", "after"],
    ["startMirror", "after"],
    ["switch", "before"],
  ] as const)
    it(`${when} ${method} by a mirror is undone by a delete`, async () => {
      await assert.rejects(move(lostAt(here.model, method, when)), halfWay(/the connection was lost/));
      await undo();
      await isGone();
    });

  for (const collapse of ["commit", "pull"] as const)
    for (const [method, when] of [
      ["openOverlay", "after"],
      ["snapshot", "before"],
      ["snapshot", "after"],
      [collapse === "commit" ? "startCommit" : "startPull", "after"],
    ] as const)
      it(`${when} ${method} with collapse ${collapse} is gone on with by the next run`, async () => {
        const options = { ...snapshot, collapse };
        await assert.rejects(move(lostAt(here.model, method, when), options), halfWay(/the connection was lost/));
        await move({}, options);
        assert.deepEqual(here.model.chain("vda"), atDestination());
      });

  for (const [method, when] of [
    ["openOverlay", "after"],
    ["snapshot", "before"],
    ["snapshot", "after"],
    ["openTarget", "before"],
    ["startMirror", "after"],
  ] as const)
    it(`${when} ${method} by a snapshot is undone by a delete`, async () => {
      await assert.rejects(move(lostAt(here.model, method, when), snapshot), halfWay(/the connection was lost/));
      await undo(snapshot);
      await isGone();
    });

  it("after the freeze says that a boot must go to the overlay", async () => {
    await assert.rejects(
      move(lostAt(here.model, "snapshot", "after"), snapshot),
      halfWay(/lost\. Run `pulumi up` again\. current: vda at .*path1\/.*lm-\S*overlay\.qcow2\.$/),
    );
    assert.notEqual(await current("path1"), here.scene.at("path1/disk.qcow2"));
  });

  it("and whose guest is silent then says to start it from current, which the manifests tell", async () => {
    let isLost = false;
    const { look } = here.model.answers() as { look: () => unknown };
    const answers = {
      ...lostAt(here.model, "startMirror", "after"),
      look: () => {
        if (here.model.jobs.length > 0) isLost = true;
        if (isLost) throw new UserError("nobody listens");
        return look();
      },
    };
    await assert.rejects(move(answers), (thrown) => {
      assert(thrown instanceof HalfWay);
      assert.equal(thrown.seen, undefined);
      assert.deepEqual(
        thrown.recorded.map(({ current: at }) => at),
        names("path1/disk.qcow2"),
      );
      assert.match(
        thrown.message,
        /current: vda at .*path1\/disk\.qcow2\. If the guest does not run, start it from there\. Then run `pulumi up` again/,
      );
      return true;
    });
  });

  it("and whose manifests cannot be read then says why, and that it is not known where to start the guest", async () => {
    const silent = { isLost: false };
    const { look } = here.model.answers() as { look: () => unknown };
    const answers = {
      ...lostAt(here.model, "startMirror", "after"),
      look: async () => {
        if (here.model.jobs.length > 0 && !silent.isLost) {
          silent.isLost = true;
          for (const side of ["path1", "path2"]) await chmod(here.scene.at(`${side}/lm-${keyOf("vda")}.manifest.json`), 0o666);
        }
        if (silent.isLost) throw new UserError("nobody listens");
        return look();
      },
    };
    await assert.rejects(
      move(answers),
      halfWay(/lost\. Run `pulumi up` again\. The manifests .* could not be read: .*manifest\.json.*others.*Then run again\.$/s),
    );
  });

  it("says so, too, in a next run whose guest does not answer at all, and nothing of another guest's", async () => {
    await assert.rejects(move(lostAt(here.model, "startMirror", "after")), halfWay(/lost/));
    const directories = names("path2");
    const silent = (reason: Error, domainId: string) => {
      const look = () => {
        throw reason;
      };
      return move({ look }, {}, { left: { domainId, directories } });
    };
    for (const reason of [
      new GuestNotRunning("It does not run."),
      new UnreachableError("No answer came."),
      new OutcomeUnknownError("No answer came."),
    ])
      await assert.rejects(silent(reason, "domain"), (thrown) => {
        assert.equal(thrown, reason);
        assert.match(reason.message, /current: vda at .*path1\/disk\.qcow2\. If the guest does not run, start it from there\. Then run/);
        return true;
      });
    await assert.rejects(silent(new UnreachableError("No answer came."), "other"), { message: "No answer came." });
    await assert.rejects(silent(new UserError("It has no disk vda."), "domain"), { message: "It has no disk vda." });
  });

  it("and then wanted elsewhere is undone before it is begun there", async () => {
    await assert.rejects(move(lostAt(here.model, "startMirror", "after")), halfWay(/lost/));
    await mkdir(here.scene.at("path3"));
    await move({}, {}, { destination: here.scene.at("path3") });
    assert.deepEqual(here.model.chain("vda"), names("path3/disk.qcow2", "path3/base.raw"));
    assert.deepEqual(await here.files("path2"), []);
    assert(!existsSync(here.scene.at("path1/disk.qcow2")));
  });

  it("and whose guest was started again since makes its mirror again", async () => {
    await assert.rejects(move(lostAt(here.model, "startMirror", "after")), halfWay(/lost/));
    here.model.restart({ vda: here.scene.at("path1/disk.qcow2") });
    await move();
    await isThere();
  });
});
