/** Strategy snapshot of raw images: an overlay is always a qcow2, what lies below it is not, whatever a guest has written there. */

import assert from "node:assert/strict";
import { copyFile } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { run } from "../sandbox/command.js";
import { rawImage, twoLayers } from "../sandbox/disks.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { onStage, stopAt } from "../storage-migration/stage.js";

const byOverlay = { strategy: "snapshot", restartDuringMove: "from-manifest" };

describe("a raw image with strategy snapshot", function () {
  this.timeout(180_000);
  const stage = onStage({ disks: (at) => [{ storage: at("path1"), layers: rawImage() }] });

  it("is moved with collapse commit, and holds every record at the destination", async () => {
    await stage().moves(byOverlay);
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "disk.raw"));
  });
});

describe("a raw image whose guest has written a qcow2 header into it", function () {
  this.timeout(180_000);
  const stage = onStage({
    style: "drive",
    disks: async (at) => {
      await run("qemu-img", ["create", "-q", "-f", "qcow2", at("path1", "trap.raw"), "1M"]);
      await run("truncate", ["-s", "1M", at("path1", "trap.raw")]);
      await copyFile(at("path1", "trap.raw"), at("as-it-was.raw"));
      return [
        { storage: at("path1") },
        { id: "trap", storage: at("path1"), layers: [{ file: "trap.raw", format: "raw" }], writes: "idle" },
      ];
    },
  });

  it("is moved by strategy snapshot as a raw image, byte for byte", async () => {
    const { trap } = await stage().moves({ ...byOverlay, disks: ["trap"] });
    assert.deepEqual(
      trap?.chain.map(({ format }) => format),
      ["raw"],
    );
    await stage().guest.stop();
    await run("cmp", [stage().at("as-it-was.raw"), stage().at("path2", "trap.raw")]);
  });
});

describe("a raw image beside a qcow2 with strategy snapshot", function () {
  this.timeout(180_000);
  const stage = onStage({
    disks: (at) => [
      { storage: at("path1"), layers: rawImage(), virtualMiB: 128 },
      { storage: at("path1"), layers: twoLayers(), virtualMiB: 128 },
    ],
  });

  it("is moved together with it, also after a cut and a power cut while it is copied and again before its commit", async () => {
    await using proxy = await QmpProxy.listen(stage().at("proxy.sock"), stage().guest.qmpSocket);
    const moves = { ...byOverlay, disks: ["vda", "vdb"], domain: { qmp: proxy.path } };
    await assert.rejects(stopAt("copying", stage(), { ...moves, maxBytesPerSecond: 32 << 20 }), Unfinished);
    await bootFrom("path1");
    proxy.before("block-commit", () => "cut");
    await assert.rejects(stage().moves(moves), Unfinished);
    await bootFrom("path2");
    const moved = await stage().moves(moves);
    assert.deepEqual(
      Object.values(moved).map(({ phase, chain }) => [phase, chain[0]?.format]),
      [
        ["settled", "raw"],
        ["settled", "qcow2"],
      ],
    );
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "disk.raw"), "vda");
    await stage().holdsAll(stage().at("path2", "old.qcow2"), "vdb");
  });

  /** From the overlays, as the manifests say. */
  async function bootFrom(place: string): Promise<void> {
    await stage().guest.waitForRecords(5);
    const names = await Promise.all(["vda", "vdb"].map((disk) => stage().operator.activeImage(disk)));
    assert(
      names.every((name) => name.startsWith(stage().at(place, "lm-"))),
      names.join(),
    );
    await stage().operator.close();
    await stage().guest.kill();
    await stage().boot({ vda: names[0] ?? "", vdb: names[1] ?? "" });
  }
});
