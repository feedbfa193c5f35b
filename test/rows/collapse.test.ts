/** Ends of strategy snapshot in which a boot would misread the disk, or find what was frozen. */

import assert from "node:assert/strict";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { LibvirtStage } from "../hypervisor/libvirt/stage.js";
import { rawImage } from "../sandbox/disks.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { onStage, Recorder, refusal, type Stage } from "../storage-migration/stage.js";

const byOverlay = { strategy: "snapshot", restartDuringMove: "from-manifest" };
const pullRefused =
  /a raw image cannot take up an overlay, as collapse "pull" would have .*path1\/disk\.raw do\. Nothing was touched\. Use collapse "commit"/;

describe("a raw image", function () {
  this.timeout(180_000);
  const stage = onStage({ disks: (at) => [{ storage: at("path1"), layers: rawImage() }] });

  it("is refused for strategy snapshot with collapse pull, with nothing touched", async () => {
    assert.match(await stage().refuses({ ...byOverlay, collapse: "pull" }), pullRefused);
  });
});

describe("a move with strategy snapshot and collapse pull that an older version began with a raw image", function () {
  this.timeout(180_000);
  const stage = onStage({ disks: (at) => [{ storage: at("path1"), layers: rawImage() }] });

  it("is refused by the next run, and undone by destroy", async () => {
    await using proxy = await QmpProxy.listen(stage().at("proxy.sock"), stage().guest.qmpSocket);
    const moves = { ...byOverlay, domain: { qmp: proxy.path } };
    proxy.before("transaction", () => {
      proxy.before("query-block", () => "cut");
      return "forward";
    });
    const cut: unknown = await stage()
      .moves(moves)
      .catch((thrown) => thrown);
    assert(cut instanceof Unfinished, String(cut));
    await asOfPull(stage());
    await assert.rejects(stage().moves({ ...moves, collapse: "pull" }), (thrown) => {
      assert(thrown instanceof Error);
      assert.match(thrown.message, /an older version began it, and a raw image cannot take up an overlay.*Destroy the resource/);
      return true;
    });
    await storageMigration.delete("id", { ...cut.outputs, collapse: "pull" }, new Recorder());
    assert.deepEqual(await readdir(stage().at("path2")), []);
    await stage().guest.waitForRecords(10);
    assert.equal(await stage().operator.activeImage("vda"), stage().at("path1", "disk.raw"));
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path1", "disk.raw"));
  });

  /** The manifests as a version that did not refuse it has written them. */
  async function asOfPull(at: Stage): Promise<void> {
    for (const side of ["path1", "path2"]) {
      const name = (await readdir(at.at(side))).find((file) => file.endsWith(".manifest.json"));
      assert(name, `there is a manifest in ${side}`);
      const manifest = JSON.parse(await readFile(at.at(side, name), "utf8"));
      const passing = at.at("path2", `${name.slice(0, 11)}.disk.raw`);
      Object.assign(manifest.overlay, { collapse: "pull", landing: passing });
      const target = at.at("path2", "disk.raw");
      Object.assign(manifest.destination, { active: target, target, backing: { name: `${name.slice(0, 11)}.disk.raw`, format: "raw" } });
      await writeFile(at.at(side, name), JSON.stringify(manifest));
    }
  }
});

describe("a raw image of a guest that libvirt manages", function () {
  this.timeout(180_000);

  it("is refused for strategy snapshot with collapse pull before it is frozen", async () => {
    await using stage = await LibvirtStage.open({ disks: (at) => [{ storage: at("path1"), layers: rawImage() }] });
    stage.standOnNothing = ["vda"];
    const { ino } = await stat(stage.at("path1/disk.raw"));
    assert.match(await refusal(storageMigration, { ...stage.arguments, strategy: "snapshot", collapse: "pull" }), pullRefused);
    const raw = stage.at("path1/disk.raw");
    assert.deepEqual(await stage.places(), { live: raw, inactive: raw });
    assert.equal((await stat(raw)).ino, ino);
    assert.deepEqual([await readdir(stage.at("path1")), await readdir(stage.at("path2"))], [["disk.raw"], []]);
  });
});

describe("strategy snapshot with collapse none and a link", () => {
  it("is refused by check, since a boot through the link would find the frozen image", () => {
    const args = { host: { address: "db-3", user: "root" }, domain: { qmp: "/run/web.qmp" }, destination: "/srv/fast", link: "/vm/web" };
    const { failures } = storageMigration.check({}, { ...args, ...byOverlay, collapse: "none" });
    assert.deepEqual(
      failures.map(({ property }) => property),
      ["collapse"],
    );
    assert.match(
      failures[0]?.reason ?? "",
      /collapse "none" goes without `link`: a boot by the old name would silently find the frozen image/,
    );
  });
});
