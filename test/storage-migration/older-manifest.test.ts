/** A move that 0.1.0 has begun: its manifests tell neither the whole chain nor the node that took the guest's writes. */

import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { until } from "../sandbox/command.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { onStage } from "./stage.js";

describe("a move whose manifests are of 0.1.0", function () {
  this.timeout(180_000);
  const stage = onStage();

  async function makeOlder(...folders: string[]): Promise<void> {
    for (const folder of folders) {
      const names = (await readdir(stage().at(folder))).filter((name) => name.endsWith(".manifest.json"));
      for (const file of names.map((name) => stage().at(folder, name))) {
        const { chain, written, ...older } = JSON.parse(await readFile(file, "utf8"));
        assert(chain && written, `${file} is as this version writes it`);
        await writeFile(file, `${JSON.stringify(older, null, 2)}\n`);
      }
    }
  }

  it("is ended by the next up after it was cut in the switch, with every strategy", async () => {
    await mkdir(stage().at("path3"));
    await using proxy = await QmpProxy.listen(stage().at("proxy.sock"), stage().guest.qmpSocket);
    for (const [from, to, strategy] of [
      ["path1", "path2", "mirror"],
      ["path2", "path3", "snapshot"],
    ] as const) {
      const settings = { domain: { qmp: proxy.path }, destination: stage().at(to), strategy };
      const whole = strategy === "snapshot" ? { ...settings, restartDuringMove: "from-manifest" } : settings;
      proxy.before("job-complete", () => "cut");
      await assert.rejects(stage().moves(whole), Unfinished);
      const rests = async () =>
        ((await stage().operator.execute("query-jobs")) as { status: string }[]).every(({ status }) => status === "concluded") || undefined;
      await until(30, rests, () => "The mirror was not called off.");
      await makeOlder(from, to);
      assert.equal((await stage().moves(whole)).vda?.phase, "settled");
    }
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path3/old.qcow2"));
  });
});
