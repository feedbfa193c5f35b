/** The life of a mirrored snapshot on the model of a guest: made, ended by a pivot or an abort, cut and gone on with. */

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Job } from "../../../provider/core/disk/job.js";
import { isKind, UnreachableError, UserError } from "../../../provider/core/errors.js";
import { Unfinished } from "../../../provider/core/lifecycle.js";
import { end, make, snapshotLeftOnHost } from "../../../provider/flows/mirrored-snapshot/conduct.js";
import type { SnapshotSite } from "../../../provider/flows/mirrored-snapshot/site.js";
import { machineOf } from "../../../provider/host/machine.js";
import { GuestNotRunning, type GuestView } from "../../../provider/hypervisor/hypervisor.js";
import { MoveSlots } from "../../../provider/reconciler/move-slots.js";
import { currentIn } from "../../sandbox/current.js";
import { lostAt } from "../lost-connection.js";
import { keyOf, type ModelScene, modelScene } from "../model-scene.js";
import type { Answers } from "../move/noting-guest.js";

let here: ModelScene;

function siteOf(answers: Answers = {}, options: Record<string, unknown> = {}): SnapshotSite {
  const [vda, vdb] = [
    { disk: "vda", file: here.scene.at("path1/file"), mirror: here.scene.at("path2/mirror"), driver: "qcow2" },
    { disk: "vdb", file: here.scene.at("path1/file-b"), mirror: here.scene.at("path2/mirror-b"), driver: "qcow2" },
  ];
  return { ...here.site(answers, options), disks: here.disks.includes("vdb") ? [vda, vdb] : [vda], reuseExternal: false };
}

const names = (...paths: string[]) => paths.map((each) => here.scene.at(each));
const before = ["base.raw", "disk.qcow2"];
const frozen = () => names("path1/file", "path1/disk.qcow2", "path1/base.raw");
const pivoted = () => names("path2/mirror", "path2/disk.qcow2", "path2/base.raw");
const refused = (pattern: RegExp) => (thrown: unknown) => isKind(thrown, "user") && pattern.test(thrown.message);
const unfinished = (pattern: RegExp) => (thrown: unknown) => thrown instanceof Unfinished && pattern.test(thrown.message);
const manifest = async (side = "path1") => JSON.parse(await readFile(here.scene.at(`${side}/lm-${keyOf("vda")}.manifest.json`), "utf8"));

async function withCopies(): Promise<void> {
  await make(siteOf(), {});
  await here.copy("disk.qcow2", "base.raw");
}

describe("a mirrored snapshot", () => {
  beforeEach(async () => {
    here = await modelScene();
  });
  afterEach(() => here.scene[Symbol.asyncDispose]());

  it("is made: the guest writes to file, which is mirrored, and both sides say so", async () => {
    const { id, outputs } = await make(siteOf(), { given: 1 });
    assert.deepEqual([id, outputs.given, outputs.running, outputs.domainId], ["domain/vda", 1, true, "domain"]);
    assert.deepEqual(here.model.chain("vda"), frozen());
    assert.deepEqual(
      here.model.jobs.map((job) => job.status),
      ["ready"],
    );
    for (const side of ["path1", "path2"]) assert.equal((await manifest(side)).current, here.scene.at("path1/file"));
    assert.match(here.scene.told.join("\n"), /From now on a boot of web must use .*path1\/file for vda/);
    assert.equal((outputs.states as Record<string, { state: string }>).vda?.state, "ready");
  });

  it("that is there already is left as it is", async () => {
    await make(siteOf(), {});
    const done = here.model.done.length;
    assert.equal((await make(siteOf(), {}, "given")).id, "given");
    assert.equal(here.model.done.length, done);
  });

  it("mirrors what the overlay holds, at the speed and in the way that is asked for, onto the layer below it", async () => {
    const asked: unknown[] = [];
    const { openTarget, startMirror } = here.model.answers() as Record<string, (...args: unknown[]) => unknown>;
    const noted =
      (work: typeof openTarget) =>
      (...args: unknown[]) => {
        asked.push(args);
        return work?.(...args);
      };
    await make(
      siteOf({ openTarget: noted(openTarget), startMirror: noted(startMirror) }, { maxBytesPerSecond: 7, copyMode: "write-blocking" }),
      {},
    );
    const snap = `lm-${keyOf("vda")}-snap-0`;
    assert.deepEqual(
      asked.map((args) => (args as unknown[]).at(-1)),
      [
        {
          ...{ path: here.scene.at("path2/mirror"), format: "qcow2", backing: "disk-node", detectZeroes: "off" },
          cache: { direct: false, noFlush: false },
        },
        { source: snap, sync: "top", copyMode: "write-blocking", maxBytesPerSecond: 7 },
      ],
    );
  });

  it("of two disks is taken of both at once", async () => {
    await here.plug("vdb");
    const { id } = await make(siteOf(), {});
    assert.equal(id, "domain/vda,vdb");
    assert.deepEqual(
      here.model.done.filter((line) => line.startsWith("snapshot")),
      ["snapshot disk-node, vdb-node"],
    );
    assert.deepEqual(here.model.chain("vdb"), names("path1/file-b", "path1/vdb.qcow2", "path1/base.raw"));
  });

  it("whose freeze QEMU refuses leaves nothing behind", async () => {
    const freeze = () => Promise.reject(new UserError("op blocked"));
    await assert.rejects(make(siteOf({ snapshot: freeze }), {}), refused(/Unable to take a mirrored snapshot of vda.*op blocked/));
    assert.deepEqual([await here.files("path1"), await here.files("path2")], [before, []]);
    assert.deepEqual([here.model.chain("vda"), here.model.named], [names("path1/disk.qcow2", "path1/base.raw"), ["disk-node"]]);
  });

  for (const method of ["probe", "openOverlay"] as const)
    it(`whose files QEMU cannot open (${method}) leaves nothing behind`, async () => {
      const refuse = () => Promise.reject(new UserError("Permission denied"));
      await assert.rejects(make(siteOf({ [method]: refuse }), {}), refused(/its QEMU cannot open the files \(Permission denied\)/));
      assert.deepEqual([await here.files("path1"), await here.files("path2")], [before, []]);
    });

  for (const [method, when, current] of [
    ["openOverlay", "before", "disk.qcow2"],
    ["snapshot", "before", "file"],
    ["snapshot", "after", "file"],
    ["openTarget", "after", "file"],
    ["startMirror", "before", "file"],
    ["startMirror", "after", "file"],
  ] as const)
    it(`whose connection is lost ${when} ${method} is remembered, with where a boot must go, and made by the next run`, async () => {
      const told = new RegExp(`the connection was lost.* current: vda at .*path1/${current}\\.$`);
      await assert.rejects(make(siteOf(lostAt(here.model, method, when)), {}), unfinished(told));
      assert.notDeepEqual(await here.files("path1"), before);
      await make(siteOf(), {});
      assert.deepEqual([here.model.chain("vda"), here.model.jobs.map(({ status }) => status)], [frozen(), ["ready"]]);
    });

  it("that was refused before anything was begun is not remembered", async () => {
    await here.scene.write("path2/mirror");
    await assert.rejects(make(siteOf(), {}), (thrown) => isKind(thrown, "user") && !(thrown instanceof Unfinished));
    // in an update the resource is there already
    await assert.rejects(make(siteOf(), {}, "domain/vda"), unfinished(/path2\/mirror is there already, and not ours/));
  });

  it("goes on once after its mirror's storage was full, and says so the second time", async () => {
    const { wakeUp } = here.model.answers() as { wakeUp: () => void };
    let full = 2;
    const stalling = () => {
      wakeUp();
      for (const job of here.model.jobs) if (full-- > 0) Object.assign(job, { status: "paused", ioStatus: "nospace" });
    };
    await assert.rejects(
      make(siteOf({ wakeUp: stalling }), {}),
      unfinished(/path2 is full: .* are still to be written, .* are free: free at least .*it goes on where it stopped/),
    );
    assert.deepEqual(here.model.done.filter((line) => line.startsWith("resume")).length, 1);
    await make(siteOf(), {});
    assert.equal(here.model.jobs[0]?.status, "ready");
  });

  it("keeps a mirror that an earlier run has left waiting, also where it cannot go on: it holds what the guest has written", async () => {
    await make(siteOf(), {});
    const mirror = here.scene.at("path2/mirror");
    const { ino } = statSync(mirror);
    const { wakeUp } = here.model.answers() as { wakeUp: () => void };
    const stall = () => {
      for (const job of here.model.jobs) Object.assign(job, { status: "paused", ioStatus: "failed" });
    };
    const stalling = () => {
      wakeUp();
      stall();
    };
    stall();
    await assert.rejects(
      make(siteOf({ wakeUp: stalling }), {}),
      unfinished(/the mirror job's storage .*path2 answers with I\/O errors.*`onDelete: "abort"`/),
    );
    assert.equal(statSync(mirror).ino, ino);
    assert(!here.model.done.some((line) => line.startsWith("cancel")));
  });

  it("waits for its slot of the host before it is begun", async () => {
    const site = siteOf();
    const other = site.run.world.one(MoveSlots).slot({ machine: await machineOf(site.host), name: "here" }, 1);
    await other.take("vdx", site.run);
    const stop = new AbortController();
    const progress = (text: string) => {
      if (/^vda waits for its turn/.test(text)) stop.abort();
    };
    const run = { ...site.run, movesPerHost: 1, progress, say: site.run.say.bind(site.run), stop: stop.signal };
    await assert.rejects(make({ ...site, run }, {}), refused(/Stopped as asked.*vda on .*path1\/disk\.qcow2/));
    other.leave();
    assert.deepEqual(here.model.done, []);
  });

  it("is not mirrored while somebody else's job runs on the disk", async () => {
    const look = here.model.answers().look as () => GuestView;
    const theirs: Job = { id: "theirs", type: "backup", status: "running", ioStatus: "ok" };
    const within = () => {
      const view = look();
      const file = here.scene.at("path1/file");
      const frozen = view.disks.some(({ medium }) => medium.kind === "image" && medium.chain[0].path === file);
      const filter = { name: "#block999", driver: "copy-before-write", file };
      return frozen ? { ...view, jobs: [...view.jobs, theirs], nodes: [...view.nodes, filter] } : view;
    };
    await assert.rejects(make(siteOf({ look: within }), {}), unfinished(/somebody else's job runs on it \(backup theirs\)/));
    assert(!here.model.done.some((line) => line.startsWith("startMirror")));
  });

  it("tells the error with which its mirror ended under the run's eyes", async () => {
    const { wakeUp } = here.model.answers() as { wakeUp: () => void };
    let left = 1;
    const failing = () => {
      wakeUp();
      for (const job of here.model.jobs) if (left-- > 0) Object.assign(job, { status: "concluded", error: "Input/output error" });
    };
    await assert.rejects(make(siteOf({ wakeUp: failing }), {}), unfinished(/the mirror job ended with: Input\/output error/));
    assert.deepEqual(here.model.jobs, []);
  });

  it("starts its mirror again where that ended with an error before the run", async () => {
    await make(siteOf(), {});
    Object.assign(here.model.jobs[0] ?? {}, { status: "concluded", error: "Input/output error" });
    await make(siteOf(), {});
    assert.equal(here.model.jobs[0]?.status, "ready");
  });

  it("begins no step once the run is asked to stop, and says where the guest is", async () => {
    const site = siteOf();
    const run = { ...site.run, stop: AbortSignal.abort() };
    await assert.rejects(make({ ...site, run }, {}), refused(/Stopped as asked.*vda on .*path1\/disk\.qcow2/));
    assert.deepEqual(here.model.done, []);
  });

  it("is no other resource's in the same process", async () => {
    const site = siteOf();
    const run = { ...site.run, urn: "urn::snapshot::other" };
    await assert.rejects(make({ ...site, run }, {}), refused(/the same disk of the same guest/));
    await assert.rejects(end({ ...site, run }, "abort"), refused(/the same disk of the same guest/));
  });

  it("is another resource's once it has ended", async () => {
    await make(siteOf(), {});
    await end(siteOf(), "abort");
    const site = siteOf();
    const run = { ...site.run, urn: "urn::snapshot::next" };
    await end({ ...site, run }, "abort");
  });

  it("gives its locks back, also where it was refused", async () => {
    await here.scene.write("path2/mirror");
    await assert.rejects(make(siteOf(), {}));
    await here.scene.take("path2/mirror");
    await make(siteOf(), {});
    for (const side of ["path1", "path2"]) assert(!(await here.files(side)).some((name) => name.includes("lock")));
  });

  it("of a guest that does not run is told, with where to start it, and of nobody else's guest or files", async () => {
    await make(siteOf(), {});
    const site = siteOf();
    await assert.rejects(
      snapshotLeftOnHost(site, "domain"),
      refused(/its guest does not run, and .* tells of a snapshot that is not ended.*current: .*path1\/file\. Start the guest/),
    );
    await snapshotLeftOnHost(site, "other");
    await snapshotLeftOnHost({ ...site, disks: site.disks.map((disk) => ({ ...disk, file: here.scene.at("path1/other") })) }, "domain");
  });
});

describe("the abort of a mirrored snapshot", () => {
  beforeEach(async () => {
    here = await modelScene();
  });
  afterEach(() => here.scene[Symbol.asyncDispose]());

  it("leaves the guest on file, and nothing else of the snapshot", async () => {
    await make(siteOf(), {});
    await end(siteOf(), "abort");
    assert.deepEqual(here.model.chain("vda"), frozen());
    assert.deepEqual([await here.files("path1"), await here.files("path2")], [[...before, "file"], []]);
    assert.deepEqual(here.model.jobs, []);
    assert.match(here.scene.told.join("\n"), /vda of web stays on .*path1\/file: a boot must use that/);
  });

  it("with the mirror still at work, or lost with its QEMU, does the same", async () => {
    await make(siteOf(), {});
    Object.assign(here.model.jobs[0] ?? {}, { status: "running" });
    await end(siteOf(), "abort");
    assert.deepEqual(await here.files("path1"), [...before, "file"]);
    await here.scene.take("path1/file");
    here.model.restart({ vda: here.scene.at("path1/disk.qcow2") });
    await make(siteOf(), {});
    here.model.restart({ vda: here.scene.at("path1/file") });
    await end(siteOf(), "abort");
    assert.deepEqual([await here.files("path1"), await here.files("path2")], [[...before, "file"], []]);
  });

  it("closes the copies that a cut pivot has opened, once the mirror does not stand on them any more", async () => {
    await withCopies();
    await assert.rejects(end(siteOf(lostAt(here.model, "reopenOn", "after")), "pivot"), /the connection was lost/);
    await end(siteOf(), "abort");
    assert.deepEqual(here.model.named, ["disk-node", `lm-${keyOf("vda")}-snap-0`]);
  });

  it("takes one back that was written down and not taken", async () => {
    await assert.rejects(make(siteOf(lostAt(here.model, "snapshot", "before")), {}));
    await end(siteOf(), "abort");
    assert.deepEqual([await here.files("path1"), await here.files("path2")], [before, []]);
  });

  it("of a snapshot that is not there does nothing", async () => {
    await end(siteOf(), "abort");
    assert.deepEqual(here.model.done, []);
  });
});

describe("the pivot of a mirrored snapshot", () => {
  beforeEach(async () => {
    here = await modelScene();
  });
  afterEach(() => here.scene[Symbol.asyncDispose]());

  it("puts the guest on the mirror, which stands on the copies, and gives the overlay another name", async () => {
    await withCopies();
    await end(siteOf(), "pivot");
    assert.deepEqual(here.model.chain("vda"), pivoted());
    const [base, disk, quarantined, ...more] = await here.files("path1");
    assert.deepEqual([base, disk, more], [...before, []]);
    assert.match(quarantined ?? "", /^file\.lm-/);
    assert.deepEqual(await here.files("path2"), [...before, "mirror"]);
    assert.deepEqual(here.model.jobs, []);
    assert.deepEqual(here.model.named, [`lm-${keyOf("vda")}-tgt-a`, `lm-${keyOf("vda")}-copied-0`]);
    assert.match(here.scene.told.join("\n"), /vda pivoted; its I\/O waited for [\d.]+ ms/);
  });

  it("of a snapshot that has pivoted does nothing", async () => {
    await withCopies();
    await end(siteOf(), "pivot");
    const done = here.model.done.length;
    await end(siteOf(), "pivot");
    assert.equal(here.model.done.length, done);
  });

  it("closes copies that an earlier run left open, which may be others now", async () => {
    await withCopies();
    const openLayer = here.model.answers().openLayer as (...args: unknown[]) => unknown;
    const lost = (...args: unknown[]) => {
      openLayer(...args);
      throw new UnreachableError("lost");
    };
    await assert.rejects(end(siteOf({ openLayer: lost }), "pivot"), /lost/);
    await end(siteOf(), "pivot");
    assert.deepEqual(here.model.chain("vda"), pivoted());
    assert(here.model.done.includes(`close lm-${keyOf("vda")}-copied-0`));
  });

  for (const [what, spoil, why] of [
    [
      "has no copy",
      () => here.scene.take("path2/disk.qcow2"),
      /there is no .*path2\/disk\.qcow2, where a copy of .*path1\/disk\.qcow2 must be/,
    ],
    [
      "has a copy that differs",
      () => here.scene.write("path2/base.raw", "other".padEnd(2 ** 20)),
      /the copy .*path2\/disk\.qcow2 differs from .*path1\/disk\.qcow2/,
    ],
    ["has no mirror any more", () => here.scene.move("path2/mirror", "path2/away"), /path2\/mirror is not the file any more/],
    [
      "has another file for the mirror",
      async () => {
        await here.scene.move("path2/mirror", "path2/away");
        await here.scene.write("path2/mirror");
      },
      /path2\/mirror is not the file any more/,
    ],
  ] as const)
    it(`of a snapshot that ${what} is refused, and the snapshot lasts`, async () => {
      await withCopies();
      await spoil();
      await assert.rejects(end(siteOf(), "pivot"), refused(why));
      assert.deepEqual([here.model.chain("vda"), here.model.jobs[0]?.status], [frozen(), "ready"]);
      assert(!here.model.done.some((line) => line.startsWith("complete")));
    });

  it("is refused where QEMU cannot open the copies, and the snapshot lasts", async () => {
    await withCopies();
    const openLayer = () => Promise.reject(new UserError("Permission denied"));
    await assert.rejects(
      end(siteOf({ openLayer }), "pivot"),
      refused(/cannot let .*mirror stand on .*path2\/disk\.qcow2 \(Permission denied\)/),
    );
    assert.deepEqual(here.model.chain("vda"), frozen());
  });

  it("is refused where QEMU has opened another chain than the copies, which is closed, and the snapshot lasts", async () => {
    await withCopies();
    const openedChain = () => [{ path: here.scene.at("path2/disk.qcow2"), format: "qcow2" }];
    const said = /Unable to pivot vda of .*QEMU opened .*disk\.qcow2 \(qcow2\), and it is to be .*base\.raw \(raw\)\. The snapshot lasts/;
    await assert.rejects(end(siteOf({ openedChain }), "pivot"), refused(said));
    assert.deepEqual([here.model.chain("vda"), here.model.jobs[0]?.status], [frozen(), "ready"]);
    assert(here.model.done.includes(`close lm-${keyOf("vda")}-copied-0`));
    await end(siteOf(), "pivot");
    assert.deepEqual(here.model.chain("vda"), pivoted());
  });

  it("is refused where the guest is on its way elsewhere, and the snapshot lasts", async () => {
    await withCopies();
    const blockers = () => [{ concerns: "guest", why: "it migrates", advice: "Wait." }];
    await assert.rejects(end(siteOf({ blockers }), "pivot"), refused(/Unable to pivot the mirrored snapshot of vda.*it migrates/));
    assert.deepEqual([here.model.chain("vda"), here.model.jobs[0]?.status], [frozen(), "ready"]);
  });

  it("is refused where somebody writes to a copy after it was compared", async () => {
    await withCopies();
    const reopenOn = here.model.answers().reopenOn as (...args: unknown[]) => unknown;
    const writing = async (...args: unknown[]) => {
      await here.scene.write("path2/base.raw", "late".padEnd(2 ** 20));
      return reopenOn(...args);
    };
    await assert.rejects(end(siteOf({ reopenOn: writing }), "pivot"), refused(/somebody writes to .*path2\/base\.raw/));
    assert.deepEqual(here.model.chain("vda"), frozen());
  });

  it("is refused where the mirror was lost with its QEMU, until it is mirrored again", async () => {
    await withCopies();
    here.model.restart({ vda: here.scene.at("path1/file") });
    await assert.rejects(end(siteOf(), "pivot"), refused(/its mirror is lost: QEMU was started again since/));
    await make(siteOf(), {});
    await end(siteOf(), "pivot");
    assert.deepEqual(here.model.chain("vda"), pivoted());
  });

  it("leaves the base to both chains where it is kept", async () => {
    await make(siteOf({}, { keepBase: here.scene.at("path1/base.raw") }), {});
    await here.copy("disk.qcow2");
    const { execFileSync } = await import("node:child_process");
    execFileSync("qemu-img", ["rebase", "-q", "-u", "-b", "../path1/base.raw", "-F", "raw", here.scene.at("path2/disk.qcow2")]);
    await end(siteOf({}, { keepBase: here.scene.at("path1/base.raw") }), "pivot");
    assert.deepEqual(here.model.chain("vda"), names("path2/mirror", "path2/disk.qcow2", "path1/base.raw"));
  });

  it("is refused where the copies lead back into the source's directory", async () => {
    await make(siteOf(), {});
    await here.copy("disk.qcow2");
    const { execFileSync } = await import("node:child_process");
    execFileSync("qemu-img", ["rebase", "-q", "-u", "-b", "../path1/base.raw", "-F", "raw", here.scene.at("path2/disk.qcow2")]);
    await assert.rejects(
      end(siteOf(), "pivot"),
      refused(/the mirror's chain leads back into the source's directory, to .*path1\/base\.raw/),
    );
  });

  for (const [index, [stage, on]] of (
    [
      ["the manifests", "file"],
      ["the name of file", "file"],
      ["the switch record", "mirror"],
    ] as const
  ).entries()) {
    const cutPivot = async () => {
      await withCopies();
      here.model.workerDies = { afterStages: index + 1 };
      await assert.rejects(end(siteOf(), "pivot"), /the connection was lost/);
    };
    const [image, command] = on === "file" ? (["path1/file", "cancel"] as const) : (["path2/mirror", "finalize"] as const);

    it(`that lost its worker after ${stage} has its disk on ${on}, and the next run ends its job by "${command}" first`, async () => {
      await cutPivot();
      for (const side of ["path1", "path2"])
        assert.equal(
          await currentIn(await readFile(here.scene.at(`${side}/lm-${keyOf("vda")}.manifest.json`), "utf8")),
          here.scene.at(image),
        );
      const done = here.model.done.length;
      await end(siteOf(), "pivot");
      assert.equal(here.model.done[done], `${command} lm-${keyOf("vda")}-mirror`);
      assert.deepEqual(here.model.chain("vda"), pivoted());
      for (const side of ["path1", "path2"])
        assert.deepEqual(
          (await here.files(side)).filter((name) => name.startsWith("lm-")),
          [],
        );
    });

    it(`that lost its worker and its QEMU after ${stage} can be started from ${on} after the next run, which says so`, async () => {
      await cutPivot();
      const look = () => Promise.reject(new GuestNotRunning("Nobody listens."));
      const left = { domainId: "domain", directories: names("path2") };
      await assert.rejects(
        end({ ...siteOf({ look }), left }, "pivot"),
        refused(new RegExp(`ended now: current: vda at .*${image}\\. Start the guest`)),
      );
      here.model.restart({ vda: here.scene.at(image) });
      assert.equal((await manifest()).current, here.scene.at(image));
      if (on === "mirror") await end(siteOf(), "pivot");
      else await end(siteOf(), "abort");
      assert.deepEqual(here.model.chain("vda"), on === "mirror" ? pivoted() : frozen());
      for (const side of ["path1", "path2"])
        assert.deepEqual(
          (await here.files(side)).filter((name) => name.startsWith("lm-")),
          [],
        );
    });
  }

  it("that lost its connection before the switch is not pivoted, and done by the next run", async () => {
    await withCopies();
    await assert.rejects(end(siteOf(lostAt(here.model, "switch", "before")), "pivot"), /the connection was lost/);
    assert.deepEqual(here.model.chain("vda"), frozen());
    await end(siteOf(), "pivot");
    assert.deepEqual(here.model.chain("vda"), pivoted());
  });
});
