/** What people are told: amounts, progress, refusals, and what a resource shows of its disks. */

import assert from "node:assert/strict";
import { bytesText } from "../../../provider/core/bytes.js";
import { BugError, isKind, UserError } from "../../../provider/core/errors.js";
import { bootPathOf, diskReport, driftOf } from "../../../provider/flows/move/report.js";
import { jobsOf, manifestOf, written } from "../../../provider/flows/move/steps/chosen.js";
import { chainReport } from "../../../provider/flows/shared/chain-report.js";
import { complaint, wordsOf } from "../../../provider/flows/shared/complaint.js";
import { Outcome } from "../../../provider/flows/shared/outcome.js";
import { existing, sameDirectory } from "../../../provider/flows/shared/places.js";
import { QmpRefusal } from "../../../provider/hypervisor/qemu/refusal.js";
import { diskNamed, disksNamed } from "../../../provider/reconciler/flow.js";
import { pace } from "../../../provider/reconciler/progress.js";
import { HandWorld } from "../../world.js";
import { emptyView } from "../move/noting-guest.js";
import { aJob, MoveScene } from "../move/scene.js";

describe("an amount in words", () => {
  for (const [bytes, text] of [
    [0, "0 bytes"],
    [1023, "1023 bytes"],
    [1024, "1 KiB"],
    [1536, "1.5 KiB"],
    [100 * 1024, "100 KiB"],
    [1024 ** 2, "1 MiB"],
    [1.5 * 1024 ** 3, "1.5 GiB"],
    [1024 ** 6, "1024 PiB"],
  ] as const)
    it(`is ${text} of ${bytes}`, () => assert.equal(bytesText(bytes), text));
});

describe("progress in a line", () => {
  it("has the share, then also the speed and the time that is left", async () => {
    const world = new HandWorld();
    const line = pace("vda copying", world);
    assert.equal(line(0, 4096), "vda copying 0 %");
    await world.pass(2);
    assert.equal(line(2048, 4096), "vda copying 50 % 1 KiB/s eta 2 s");
    await world.pass(2);
    assert.equal(line(4096, 4096), "vda copying 100 % 1 KiB/s");
  });

  it("of nothing is all, and counts only what was done since it began", async () => {
    const world = new HandWorld();
    assert.equal(pace("x", world)(0, 0), "x 100 %");
    const line = pace("x", world);
    line(3072, 4096);
    await world.pass(1);
    assert.equal(line(3584, 4096), "x 87 % 512 bytes/s eta 1 s");
  });
});

describe("a refusal", () => {
  it("says what, of which disk, guest and host, why, what is left, and what to do", () => {
    const site = { host: { name: "db-1" }, guest: { name: "web" } };
    const error = complaint(site, { verb: "move", disk: "vda", why: "it is so", advice: "Do this." });
    assert.equal(error.message, "Unable to move vda of web on db-1: it is so. Nothing was touched. Do this.");
    assert.match(complaint(site, { verb: "move", disk: "vda", why: "x", left: "All stays.", advice: "y" }).message, /All stays/);
  });

  it("has QEMU's words where that refused, else the cause's without its full stop", () => {
    const refusal = new QmpRefusal("job-complete", "GenericError", "not ready", { monitor: "qmp.sock", arguments: "{}" });
    assert.equal(wordsOf(refusal), `QEMU answers "not ready"`);
    assert.match(wordsOf(new UserError("x", { cause: refusal })), /^QEMU answers "/);
    assert.equal(wordsOf(new UserError("It is so.")), "It is so");
    assert.equal(wordsOf("text"), "text");
  });
});

describe("the outcome of a run", () => {
  it("is told for a disk with which something was done, with the seconds since it began, and for no other", async () => {
    const world = new HandWorld();
    const outcome = new Outcome(world);
    assert.equal(outcome.tell("vda"), undefined);
    outcome.copied("vda", 5);
    outcome.copied("vda", 6);
    outcome.paused("vda", 1.26);
    outcome.left("vda", "a file");
    await world.pass(12.34);
    assert.deepEqual(outcome.tell("vda"), { copiedBytes: 11, pauseMs: 1.3, left: ["a file"], seconds: 12.3 });
    assert.equal(outcome.tell("vdb"), undefined);
  });
});

describe("what is shown of a disk", () => {
  it("has its chain rounded, and what this run did, else what was known before", async () => {
    await using scene = await MoveScene.open();
    const disk = scene.disk({ seen: { phase: "settled" } });
    const outcome = new Outcome(new HandWorld());
    assert.deepEqual(diskReport(disk, outcome, { copiedBytes: 7, left: ["x"] }).copiedBytes, 7);
    outcome.copied("vda", 5);
    const shown = diskReport(disk, outcome, { copiedBytes: 7, pauseMs: 3 });
    assert.deepEqual([shown.copiedBytes, "pauseMs" in shown, shown.bootPath], [5, false, disk.bootPath]);
    assert.deepEqual([shown.status, shown.phase], ["settled", "settled"]);
    const chain = chainReport([{ path: "/a", format: "raw", virtualBytes: 1, allocatedBytes: 1.6 * 1024 * 1024 }]);
    assert.deepEqual(chain, [{ path: "/a", format: "raw", virtualBytes: 1, allocatedBytes: 2 * 1024 * 1024 }]);
  });

  it("is somebody's overlay as what a boot must use, and only where it was found to be that", async () => {
    await using scene = await MoveScene.open();
    const paths = [
      { phase: "contradiction", why: "", foreignTop: "/theirs" } as const,
      { phase: "contradiction", why: "" } as const,
      { phase: "idle" } as const,
    ];
    assert.deepEqual(
      paths.map((seen) => bootPathOf(scene.disk({ seen, bootPath: "/ours" }))),
      ["/theirs", "/ours", "/ours"],
    );
  });

  it("is drift where it is elsewhere, or where its definition names another file", async () => {
    await using scene = await MoveScene.open();
    const named = scene.at("path1/disk.qcow2");
    const at = (definedAt: string | undefined, phase: "settled" | "idle") =>
      driftOf(scene.disk({ seen: { phase }, image: { ...scene.image(), ...(definedAt === undefined ? {} : { definedAt }) } }));
    assert.deepEqual([at(undefined, "settled"), at(named, "settled"), at(undefined, "idle")], [undefined, undefined, `vda is at ${named}`]);
    assert.match(at("/other", "settled") ?? "", /but the persistent definition names \/other/);
  });
});

describe("the disks of a step", () => {
  it("are those that were observed, in the order asked; any other is a fault of ours", async () => {
    await using scene = await MoveScene.open();
    const seen = {
      view: emptyView,
      disks: ["vda", "vdb"].map((disk) => scene.disk({ disk, seen: disk === "vdb" ? { phase: "ready", job: aJob } : { phase: "copied" } })),
    };
    assert.deepEqual(
      disksNamed(seen, ["vdb", "vda"]).map(({ disk }) => disk),
      ["vdb", "vda"],
    );
    assert.throws(() => diskNamed(seen, "vdc"), BugError);
    assert.throws(() => manifestOf(diskNamed(seen, "vda")), BugError);
    assert.throws(
      () => written(diskNamed(seen, "vda")),
      (thrown) => isKind(thrown, "bug"),
    );
    assert.deepEqual(jobsOf(seen.disks), [{ jobId: aJob.id }]);
  });
});

describe("directories", () => {
  it("are the same by what they are, however they are spelled", async () => {
    await using scene = await MoveScene.open();
    const { site } = scene.site();
    const same = (one: string, other: string) => sameDirectory(site, scene.at(one), scene.at(other));
    assert.deepEqual(
      [
        await same("path1", "path1"),
        await same("path1", "path2/../path1"),
        await same("path1", "path2"),
        await same("path1", "none"),
        await same("none", "path1"),
      ],
      ["same", "same", "different", "different", "different"],
    );
  });

  it("that exist are listed once each, by their real paths", async () => {
    await using scene = await MoveScene.open();
    const wanted = ["path1", "none", "path1/disk.qcow2", "path2/../path1", "path2"].map((name) => scene.at(name));
    assert.deepEqual(await existing(scene.host, wanted), [scene.at("path1"), scene.at("path2")]);
  });
});
