import assert from "node:assert/strict";
import path from "node:path";
import { checkImage } from "../sandbox/check.js";
import { type CutPlace, cutPlaces, cutUp } from "./cuts.js";
import { assertNothingLost, assertSettledAt, assertWritesOn, look } from "./reality.js";
import { openStage, type Stage } from "./stage.js";

const timeoutMs = 300_000;
const { copy, mirror, beforeComplete, pending, beforeFinalize, neverLetGo, tidyingJob, tidyingNodes } = cutPlaces;

/** A few of the places, by a real deployment; test/faults breaks a move at every one. Where the first `up` is cut, which is then destroyed, and where the second, which is then finished. */
const kills: { title: string; first: CutPlace; second: CutPlace }[] = [
  { title: "during the copy or the mirror", first: copy, second: mirror },
  { title: "in the switch, before it is written down", first: beforeComplete, second: pending },
  { title: beforeFinalize.title, first: beforeFinalize, second: beforeFinalize },
  { title: neverLetGo.title, first: neverLetGo, second: neverLetGo },
  { title: "in the tidying", first: tidyingJob, second: tidyingNodes },
];

describe("an up whose provider is killed", function () {
  this.timeout(timeoutMs);

  for (const { title, first, second } of kills) {
    const ending = first.current === "source" ? "is undone by destroy" : "stays at the destination on destroy";
    it(`${title} ${ending}, and is finished by the next up`, async () => {
      await using stage = await open("killed", first);
      await stage.must("up", "path1");
      const former = await cutAndDestroy(stage, first);
      await stage.must("up", former.at(-1) ?? "");
      await cutUp(stage, "path3", second, "provider");
      await assertWritesOn(stage);
      await stage.must("up", "path3");
      await assertSettledAt(stage, "path3", former);
      await assertNothingLost(stage, stage.at("path3", "old.qcow2"));
    });
  }

  /** On the way to path2. @returns where the disk has been, and is */
  async function cutAndDestroy(stage: Stage, place: CutPlace): Promise<string[]> {
    const before = await look(stage);
    await cutUp(stage, "path2", place, "provider");
    await assertWritesOn(stage);
    await stage.must("destroy", "path2");
    if (place.current === "destination") {
      await assertSettledAt(stage, "path2", ["path1"]);
      return ["path1", "path2"];
    }
    assert.deepEqual(await look(stage), before);
    return ["path1"];
  }
});

describe("an up whose guest's QEMU is killed", function () {
  this.timeout(timeoutMs);

  for (const place of [mirror, pending, beforeFinalize]) {
    it(`${place.title} leaves a disk that boots by the same command line, whole, and is finished by the next up`, async () => {
      await using stage = await open("power-cut", place);
      await stage.must("up", "path1");
      const { output } = await cutUp(stage, "path2", place, "QEMU");
      const current = stage.at(place.current === "source" ? "path1" : "path2", "old.qcow2");
      assert.ok(output.includes(`current: vda at ${current}. If the guest does not run, start it from there.`), output);
      const { lost, corrupt } = await checkImage(path.join(stage.link ?? "", "old.qcow2"), stage.guest.disk());
      assert.deepEqual({ lost, corrupt }, { lost: [], corrupt: [] });
      await stage.guest.boot();
      await stage.must("up", "path2");
      await assertSettledAt(stage, "path2", ["path1"]);
      await assertNothingLost(stage, stage.at("path2", "old.qcow2"), "kill");
    });
  }
});

function open(name: string, { monitor }: CutPlace): Promise<Stage> {
  return openStage(name, { kind: "StorageMigration", through: "link", monitor });
}
