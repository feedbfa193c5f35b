/** A persistent definition that somebody else writes while an overlay takes the guest's writes. */

import assert from "node:assert/strict";
import { withDefinitionWatched } from "../../../../provider/flows/move/managed/definition-watch.js";
import { HandWorld } from "../../../world.js";
import { emptyView, notingGuest } from "../noting-guest.js";
import { MoveScene, overlayName } from "../scene.js";

describe("the definition of a guest on an overlay", () => {
  it("is looked at each 5 s of a long step, corrected where it names another image of the move, and left alone afterwards", async () => {
    await using scene = await MoveScene.open();
    const world = new HandWorld();
    const manifest = await scene.frozen("commit");
    const overlay = scene.at(`path1/${overlayName}`);
    let definedAt = overlay;
    const image = () => ({
      ...scene.image([
        [`path1/${overlayName}`, "qcow2"],
        ["path1/disk.qcow2", "qcow2"],
      ]),
      definedAt,
    });
    const changed: string[] = [];
    const redefine = (qdev: string, { path }: { path: string }) => void changed.push(`${qdev} at ${path}`);
    const look = () => ({ ...emptyView, disks: [{ qdev: "vda", names: ["vda"], medium: { kind: "image" as const, ...image() } }] });
    const { guest, asked } = notingGuest({ redefine, look });
    const disk = scene.disk({ standing: "overlay", manifest, image: image() });
    const checks: number[] = [];
    const check = async () => void checks.push(world.clock());
    const work = Promise.withResolvers<string>();
    const watching = withDefinitionWatched({ guest, world, seen: { view: emptyView, disks: [disk] }, check }, () => work.promise);
    await world.pass(14);
    assert.deepEqual([asked.length, changed], [2, []]);
    definedAt = scene.at("path1/disk.qcow2");
    await world.pass(2);
    assert.deepEqual(changed, [`vda at ${overlay}`]);
    assert.deepEqual(checks, [15]);
    work.resolve("done");
    assert.equal(await watching, "done");
    await world.pass(60);
    assert.deepEqual([asked.length, world.waiting], [4, 0]);
  });
});
