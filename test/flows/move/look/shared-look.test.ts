/** Reads that come together share one look, which is never older than a second question of the same reader, nor than a change. */

import assert from "node:assert/strict";
import { observeForReport } from "../../../../provider/flows/move/look/report-look.js";
import { endSharedLook } from "../../../../provider/flows/shared/shared-look.js";
import { writeRecords } from "../../../../provider/journal/records.js";
import { HandWorld } from "../../../world.js";
import { type Answers, emptyView } from "../noting-guest.js";
import { key, MoveScene } from "../scene.js";

describe("a look that reads share", () => {
  let scene: MoveScene;
  beforeEach(async () => {
    scene = await MoveScene.open();
    asked = [];
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  let asked: string[];
  const reader = (urn: string, answers: Answers = {}) => {
    const view = () => {
      asked.push("look");
      const image = { kind: "image" as const, ...scene.image() };
      return { ...emptyView, disks: ["vda", "vdb"].map((qdev) => ({ qdev, names: [qdev], medium: image })) };
    };
    const { site } = scene.site({ look: view, lookAtChains: view, ...answers });
    return { ...site, run: { ...site.run, urn } };
  };

  it("is one for several who read one after the other, and shows each its own disk", async () => {
    const one = await observeForReport(reader("a"), ["vda"]);
    const other = await observeForReport(reader("b"), ["vdb"]);
    assert.deepEqual([one.disks[0]?.disk, other.disks[0]?.disk, asked.length], ["vda", "vdb", 1]);
    assert.equal(one.disks[0]?.seen.phase, "idle");
  });

  it("is one for those who read at the same time", async () => {
    await Promise.all([observeForReport(reader("a"), ["vda"]), observeForReport(reader("b"), ["vdb"])]);
    assert.equal(asked.length, 1);
  });

  it("is a new one for the second question of the same reader, and after something was changed", async () => {
    await observeForReport(reader("a"), ["vda"]);
    await observeForReport(reader("a"), ["vda"]);
    assert.equal(asked.length, 2);
    endSharedLook(scene.host);
    await observeForReport(reader("c"), ["vda"]);
    assert.equal(asked.length, 3);
  });

  it("is a new one 2 s after the last answer, and 20 s after it was begun, however often it was shared", async () => {
    const world = new HandWorld();
    scene.host.world = world;
    const read = async (urn: string, seconds: number) => {
      await world.pass(seconds);
      await observeForReport(reader(urn), ["vda"]);
      return asked.length;
    };
    assert.deepEqual([await read("a", 0), await read("b", 1.9), await read("c", 2)], [1, 1, 2]);
    const counts: number[] = [];
    for (let at = 1.9; at < 22; at += 1.9) counts.push(await read(`urn ${at}`, 1.9));
    assert.deepEqual(counts, [...Array(10).fill(2), 3]);
  });

  it("is another one for another guest of the host", async () => {
    await observeForReport(reader("a"), ["vda"]);
    await observeForReport(reader("b", { name: "db", address: "db" }), ["vda"]);
    assert.equal(asked.length, 2);
  });

  it("asks for serial numbers once", async () => {
    let questions = 0;
    const serials = (qdevs: readonly string[]) => {
      questions++;
      return qdevs.map((qdev) => (qdev === "vda" ? "S1" : undefined));
    };
    await observeForReport(reader("a", { serials }), ["S1"]);
    await observeForReport(reader("b", { serials }), ["S1"]);
    assert.equal(questions, 1);
  });

  it("is followed by one of a move that was begun, with its jobs", async () => {
    await scene.write("path2/disk.qcow2");
    await writeRecords(scene.host, key, await scene.manifest());
    const job = { id: `lm-${key}-mirror`, type: "mirror", status: "running", ioStatus: "ok" };
    const image = { kind: "image" as const, ...scene.image() };
    const look = () => ({ ...emptyView, jobs: [job], disks: [{ qdev: "vda", names: ["vda"], medium: image }] });
    const { disks } = await observeForReport(reader("a", { look }), ["vda"]);
    assert.equal(disks[0]?.seen.phase, "mirroring");
  });

  it("asks the guest for reports where there is one", async () => {
    const forReport = reader("x").guest;
    await observeForReport(reader("a", { forReport, lookAtChains: assert.fail, look: assert.fail }), ["vda"]);
    assert.equal(asked.length, 1);
  });
});
