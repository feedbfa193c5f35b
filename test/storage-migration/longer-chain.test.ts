import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { chainOf } from "../sandbox/check.js";
import { onStage } from "./stage.js";

describe("a chain that collapse none has left longer", function () {
  this.timeout(300_000);
  const stage = onStage();

  it("moves on in every way, each new overlay under a name that is free, with nothing lost", async () => {
    const snapshot = { strategy: "snapshot", restartDuringMove: "from-manifest" };
    const none = { ...snapshot, collapse: "none" };
    const settings = [none, { ...snapshot, collapse: "commit" }, none, { ...snapshot, collapse: "pull" }, { strategy: "mirror" }];
    const names: string[][] = [];
    let boot = "";
    for (const [index, each] of settings.entries()) {
      const destination = stage().at(`path${index + 2}`);
      await mkdir(destination, { recursive: true });
      const { vda } = await stage().moves({ ...each, destination });
      assert.equal(vda?.phase, "settled");
      boot = vda.bootPath;
      assert.equal(path.dirname(boot), destination);
      await stage().guest.waitForRecords(10);
      names.push((await chainOf(boot)).map((layer) => path.basename(layer.path).replace(/^lm-[0-9a-f]{8}/, "lm-…")));
    }
    const once = ["lm-….overlay.qcow2", "old.qcow2", "common.qcow2"];
    const twice = ["lm-….overlay-2.qcow2", ...once];
    assert.deepEqual(names, [once, once, twice, twice, twice]);
    await stage().guest.kill();
    await stage().holdsAll(boot);
  });
});
