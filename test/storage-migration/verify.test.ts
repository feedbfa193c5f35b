/** `verify: "full"`: a copy that went bad on its way is found, whatever the page cache says, and no mirror starts on it. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { RottingStorage } from "../sandbox/rotting-storage.js";
import { assertSentence, onOwnStage, Recorder, type Stage, stopAt } from "./stage.js";

/** Inside the data of common.qcow2: its first 64 MiB hold 0x11. */
const dataOffset = 20 * 2 ** 20 + 123;

/** Lets a storage go bad at the moment in which the comparison begins. */
class Saboteur extends Recorder {
  constructor(private readonly act: () => void) {
    super();
  }

  override progress(text: string): void {
    super.progress(text);
    if (text.includes("comparing")) this.act();
  }
}

describe("a copy that is verified", function () {
  this.timeout(180_000);
  let storage: RottingStorage;
  const stage = onOwnStage({}, async ({ sandbox, guest, folder }: Stage) => {
    storage = await RottingStorage.mount(path.join(folder, "fast"), 512);
    sandbox.defer(async () => {
      await guest.kill();
      await storage[Symbol.asyncDispose]();
    });
  });
  const copy = () => stage().at("fast", "common.qcow2");
  const moves = (run: Recorder, verify = "full") => stage().moves({ destination: stage().at("fast"), verify }, run);

  it("is found to differ where only the storage differs and not the page cache, and is removed", async () => {
    const run = new Saboteur(() => {
      storage.rot(copy(), dataOffset);
      execFileSync("cmp", [stage().at("path1", "common.qcow2"), copy()]); // by the page cache they are the same
    });
    const failed: unknown = await moves(run).catch((reason: unknown) => reason);
    assert(failed instanceof Unfinished, String(failed));
    assertSentence(failed.message);
    assert.match(
      failed.message,
      /the copy .*fast\/common\.qcow2 differs from .*path1\/common\.qcow2 \(.*\)\. The guest runs on the source as before, and the copy was removed\. Look for a fault/,
    );
    assert(!existsSync(copy()));
    assert.equal(await stage().operator.activeImage("vda"), stage().at("path1", "old.qcow2"));
    await stage().guest.waitForRecords(5);
  });

  it("is compared by the next run where the comparison was cut, before any mirror starts", async () => {
    const cut: unknown = await stopAt("comparing", stage(), { destination: stage().at("fast"), verify: "full" }).catch((reason) => reason);
    assert(cut instanceof Unfinished, String(cut));
    const bad = new Saboteur(() => storage.rot(copy(), dataOffset));
    await assert.rejects(moves(bad), /differs from/);
    assert(!bad.lines.some((line) => line.includes("mirroring")), bad.lines.join("\n"));
    const good = new Recorder();
    assert.equal((await moves(good)).vda?.phase, "settled");
    assert(good.lines.some((line) => line.includes("copying")) && good.lines.some((line) => line.includes("comparing")));
    execFileSync("cmp", [stage().at("path1", "common.qcow2"), copy()]);
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("fast", "old.qcow2"));
  });
});
