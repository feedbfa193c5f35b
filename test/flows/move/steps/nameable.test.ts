/** A chain that QEMU has no room to name is refused before anything is copied. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { isKind } from "../../../../provider/core/errors.js";
import { checkNameable } from "../../../../provider/flows/move/steps/nameable.js";
import { forgetBackingFormat } from "../../../sandbox/headers.js";
import { makeQcow2 } from "../../model-guest.js";
import { MoveScene } from "../scene.js";

describe("a long chain of which most layers stay", () => {
  let scene: MoveScene;
  let folder: string;
  let staying: string[];
  beforeEach(async () => {
    scene = await MoveScene.open();
    folder = `path1/${"x".repeat(200)}/${"y".repeat(200)}`;
    await mkdir(scene.at(folder), { recursive: true });
    staying = Array.from({ length: 8 }, (_, index) => `${folder}/${index}`);
    for (const [index, name] of staying.entries())
      makeQcow2(scene.at(name), index + 1 < staying.length ? { name: String(index + 1), format: "qcow2" } : undefined);
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  const check = async (of = staying) => {
    const names = ["path1/disk.qcow2", ...of];
    const chain = await Promise.all(names.map(async (name) => ({ path: scene.at(name), format: "qcow2", ...(await scene.which(name)) })));
    const disk = scene.written(await scene.manifest({ chain, layers: [] }), { image: scene.image(names.map((name) => [name, "qcow2"])) });
    await checkNameable(scene.site().site, disk);
  };

  it("may move where their headers name it", () => check());

  it("is refused where one of them names no format", async () => {
    forgetBackingFormat(scene.at(staying[3] ?? ""));
    await assert.rejects(check(), (thrown) => {
      assert(isKind(thrown, "user"));
      assert.match(
        thrown.message,
        /Unable to move vda .*3 does not say which format .*so QEMU must be told all 9 layers.*Nothing was touched/,
      );
      return true;
    });
  });

  it("may move where it is short enough to be told", async () => {
    forgetBackingFormat(scene.at(staying[6] ?? ""));
    await check(staying.slice(6));
  });
});
