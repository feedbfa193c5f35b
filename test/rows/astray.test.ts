/** The job of one of two disks fails at the very end of their switch: it is decided by then, and the other disk has gone over. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir, readFile, readlink, symlink } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { currentIn } from "../sandbox/current.js";
import { oneLayer } from "../sandbox/disks.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { onOwnStage, type Stage } from "../storage-migration/stage.js";

const images: Readonly<Record<string, string>> = { vda: "a.qcow2", vdb: "b.qcow2" };

describe("a switch of two disks, one of which does not go over", function () {
  this.timeout(180_000);
  const disks = async (at: Stage["at"]) => {
    await symlink("path1", at("link"));
    return Object.entries(images).map(([id, file]) => ({ id, storage: at("path1"), through: at("link"), layers: oneLayer(file) }));
  };
  const stage = onOwnStage({ disks, uuid: "11111111-2222-3333-4444-555555555555" });

  /** What the manifests of a disk name, each once. */
  async function currents(disk: string): Promise<string[]> {
    const named: string[] = [];
    for (const side of ["path1", "path2"])
      for (const name of (await readdir(stage().at(side))).filter((each) => each.endsWith(".manifest.json"))) {
        const text = await readFile(stage().at(side, name), "utf8");
        if ((JSON.parse(text) as { disk: string }).disk === disk) named.push(await currentIn(text));
      }
    return [...new Set(named)];
  }

  /** Right before the first job is let go. */
  async function cancelOne(): Promise<"forward"> {
    const jobs = (await stage().operator.execute("query-jobs")) as { id: string }[];
    await stage().operator.execute("block-job-cancel", { device: jobs[0]?.id, force: true });
    return "forward";
  }

  for (const through of ["link", "name"] as const)
    it(`through their ${through} leaves that one where the manifests name it, and no half of it at the destination; the next run moves it`, async () => {
      await using proxy = await QmpProxy.listen(stage().at("proxy.sock"), stage().guest.qmpSocket);
      const link = through === "link" ? { link: stage().at("link") } : {};
      const moves = (qmp: string) => stage().moves({ ...link, disks: Object.keys(images), domain: { qmp } });
      proxy.before("job-finalize", cancelOne);
      const failed: unknown = await moves(proxy.path).catch((reason: unknown) => reason);
      assert(failed instanceof Unfinished, String(failed));
      await stage().guest.waitForRecords(5);
      const where = await Promise.all(Object.keys(images).map(async (id) => [id, await stage().operator.activeImage(id)] as const));
      const [[id = "", image = ""] = [], ...more] = where.filter(([, active]) => !active.includes("/path2/"));
      assert.equal(more.length, 0, "both stayed");
      assert.deepEqual(await currents(id), [stage().at("path1", images[id] ?? "")], `${image} is active`);
      assert(!existsSync(stage().at("path2", images[id] ?? "")), "a boot may find what takes no writes any more");
      if (through === "link") assert.equal(await readlink(stage().at("link")), stage().at("path2"));
      assert.match(failed.message, new RegExp(`Unable to switch ${id} of .* goes on writing to .*path1/${images[id]}, which is current`));
      for (const { phase } of Object.values(await moves(stage().guest.qmpSocket))) assert.equal(phase, "settled");
      await stage().guest.waitForRecords(5);
      await stage().guest.stop();
      for (const [disk, file] of Object.entries(images)) await stage().holdsAll(stage().at("path2", file), disk);
    });
});
