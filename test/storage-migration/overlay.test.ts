/** What the other arguments mean with `strategy: "snapshot"`: `link`, `afterwards`, `keepBase`, `loses`, `collapse`, `copyMode`. */

import assert from "node:assert/strict";
import { mkdir, readdir, readlink, symlink } from "node:fs/promises";
import type { Properties } from "../../provider/core/lifecycle.js";
import { chainOf } from "../sandbox/check.js";
import { run } from "../sandbox/command.js";
import { oneLayer, threeLayers } from "../sandbox/disks.js";
import { onOwnStage } from "./stage.js";

interface Node {
  ro: boolean;
  drv: string;
  file: string;
  "dirty-bitmaps"?: { name: string; recording: boolean; count: number }[];
}

const nameOf = ({ name }: { name: string }) => name;

describe("a move by an overlay", function () {
  this.timeout(180_000);
  const stage = onOwnStage({
    disks: async (at) => {
      await symlink("path1", at("disks"));
      for (const folder of ["path0", "path4"]) await mkdir(at(folder));
      await run("qemu-img", ["create", "-q", "-f", "qcow2", at("path0", "marked.qcow2"), "1G"]);
      await run("qemu-img", ["snapshot", "-c", "before the upgrade", at("path0", "marked.qcow2")]);
      return [
        { storage: at("path1"), through: at("disks") },
        { storage: at("path1"), id: "vdb", layers: oneLayer("data.qcow2"), through: at("disks") },
        { storage: at("path0"), id: "vdc", layers: threeLayers("keep-") },
        { storage: at("path0"), id: "vdd", layers: [{ file: "marked.qcow2" }] },
      ];
    },
  });
  const byOverlay = (different: Properties = {}) => ({ strategy: "snapshot", restartDuringMove: "from-manifest", ...different });
  const behindLink = (different: Properties) => byOverlay({ disks: ["vda", "vdb"], link: stage().at("disks"), ...different });
  const path2 = (...names: string[]) => stage().at("path2", ...names);
  /** Not behind the link: what lies there would have to move with it. */
  const path4 = (...names: string[]) => stage().at("path4", ...names);

  /** Every acknowledged write is in the images, by their disks, also after a boot from them. */
  async function holdAll(images: Readonly<Record<string, string>>, others: Readonly<Record<string, string>>): Promise<void> {
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().guest.boot(others);
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    for (const [id, image] of Object.entries({ ...images, ...others })) await stage().holdsAll(image, id);
  }

  it("leaves keepBase where it is, and names it by its full path", async () => {
    const keepBase = stage().at("path0", "keep-base.qcow2");
    const { vdc } = await stage().moves(byOverlay({ disks: ["vdc"], destination: path4(), keepBase, copyMode: "write-blocking" }));
    assert.equal(vdc?.phase, "settled");
    const chain = await chainOf(vdc.bootPath);
    assert.deepEqual(
      chain.map(({ path }) => path),
      [path4("keep-top.qcow2"), path4("keep-middle.qcow2"), keepBase],
    );
    assert.deepEqual(
      chain.map(({ backingName }) => backingName),
      ["keep-middle.qcow2", keepBase, undefined],
    );
    await holdAll({}, { vdc: path4("keep-top.qcow2") });
  });

  it("moves all disks behind a link, by which they boot, and keeps the old images by their names, if asked", async () => {
    const moves = await stage().moves(behindLink({ afterwards: "keep", verify: "full" }));
    assert.deepEqual(
      Object.values(moves).map(({ phase, bootPath }) => [phase, bootPath]),
      [
        ["settled", stage().at("disks", "old.qcow2")],
        ["settled", stage().at("disks", "data.qcow2")],
      ],
    );
    assert.equal(await readlink(stage().at("disks")), path2());
    assert.deepEqual((await readdir(stage().at("path1"))).sort(), ["common.qcow2", "data.qcow2", "old.qcow2"]);
    assert.match(moves.vda?.left?.join("\n") ?? "", /path1\/old\.qcow2: the image that was active before/);
    await holdAll({ vda: path2("old.qcow2"), vdb: path2("data.qcow2") }, {});
  });

  const bitmaps = async () => {
    const nodes = (await stage().operator.execute("query-named-block-nodes", { flat: true })) as Node[];
    const active = nodes.find(({ ro, drv, file }) => !ro && drv === "qcow2" && file.endsWith("/marked.qcow2"));
    return (active?.["dirty-bitmaps"] ?? []).map(({ name, recording, count }) => ({ name, recording, count }));
  };

  const add = (name: string, persistent: "yes" | "no") =>
    stage().operator.execute("block-dirty-bitmap-add", { node: "vdd-marked", name, persistent: persistent === "yes" });

  it("is refused for bitmaps that live in QEMU's memory alone", async () => {
    await add("fleeting", "no");
    const message = await stage().refuses(byOverlay({ disks: ["vdd"] }));
    assert.match(message, /an image does not carry its dirty bitmaps \(fleeting\)\. Nothing was touched\. Add "bitmaps" to `loses`/);
  });

  it("is refused with collapse pull for bitmaps and for internal snapshots that live in the image", async () => {
    await add("weekly", "yes");
    const pull = byOverlay({ disks: ["vdd"], collapse: "pull" });
    assert.match(await stage().refuses(pull), /collapse "pull" does not carry its dirty bitmaps \(weekly\)\. Nothing was touched/);
    const lost = { ...pull, loses: ["bitmaps"] };
    assert.match(await stage().refuses(lost), /collapse "pull" does not carry its internal snapshots \(before the upgrade\)/);
  });

  it("carries persistent bitmaps, which go on recording, and internal snapshots with collapse commit", async () => {
    await add("weekly", "yes");
    await stage().guest.waitForRecords(10);
    const [before] = await bitmaps();
    assert(before);
    const { vdd } = await stage().moves(byOverlay({ disks: ["vdd"], destination: path4() }));
    assert.equal(vdd?.phase, "settled");
    await stage().guest.waitForRecords(10);
    const [after] = await bitmaps();
    assert.deepEqual([after?.name, after?.recording], ["weekly", true]);
    assert(after && after.count > before.count, `${after?.count} bytes are marked, before the move it were ${before.count}`);
    await holdAll({}, { vdd: path4("marked.qcow2") });
    await run("qemu-img", ["check", "-q", path4("marked.qcow2")]);
    const info = JSON.parse(await run("qemu-img", ["info", "--output=json", path4("marked.qcow2")]));
    assert.deepEqual([info.snapshots.map(nameOf), info["format-specific"].data.bitmaps.map(nameOf)], [["before the upgrade"], ["weekly"]]);
  });
});
