/** Chains whose headers do not say what QEMU has open: a guest can write a qcow2 header into its raw disk, and an old tool names no format. */

import assert from "node:assert/strict";
import { copyFile, readdir, stat } from "node:fs/promises";
import { run } from "../sandbox/command.js";
import { type DiskOptions, type LayerOptions, makeImages, planDisks } from "../sandbox/disks.js";
import { forgetBackingFormat } from "../sandbox/headers.js";
import { onStage } from "../storage-migration/stage.js";

const layers: LayerOptions[] = [
  { file: "base.raw", format: "raw", fill: { byte: 0x11, fromMiB: 4, lengthMiB: 16 } },
  { file: "middle.qcow2", fill: { byte: 0x33, fromMiB: 8, lengthMiB: 8 } },
  { file: "top.qcow2", fill: { byte: 0x22, fromMiB: 16, lengthMiB: 8 } },
];

/** The first bytes of a qcow2 that reads the host's /etc/passwd, as if the guest had written them into its raw disk before it became a base. */
async function plantHeader(base: string, trap: string): Promise<void> {
  await run("qemu-img", ["create", "-q", "-u", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", trap, "1024M"]);
  await run("dd", [`if=${trap}`, `of=${base}`, "conv=notrunc", "status=none"]);
}

/** `vda` has records; `vdb` is opened layer by layer by the guest's command line. */
async function trapped(at: (...names: string[]) => string): Promise<DiskOptions[]> {
  const disks: DiskOptions[] = [{ storage: at("path1") }, { storage: at("path1"), layers, writes: "idle" }];
  for (const disk of planDisks(disks)) await makeImages(disk);
  await plantHeader(at("path1", "base.raw"), at("trap.qcow2"));
  forgetBackingFormat(at("path1", "middle.qcow2"));
  await copyFile(at("path1", "base.raw"), at("base-as-it-was.raw"));
  return disks;
}

const file = (stage: { at(...names: string[]): string }, directory: string, name: string, format: string) => ({
  path: stage.at(directory, name),
  format,
});

for (const strategy of ["mirror", "snapshot"] as const) {
  describe(`a raw base with a qcow2 header in it, which the header above does not call raw, with strategy ${strategy}`, function () {
    this.timeout(180_000);
    const stage = onStage({ disks: trapped });

    it("is opened as raw at the destination, and the copied header above it says so from then on", async () => {
      const options = strategy === "snapshot" ? { strategy, restartDuringMove: "from-manifest" } : { strategy };
      const { vdb } = await stage().moves({ ...options, disks: ["vdb"] });
      assert.deepEqual(
        vdb?.chain.map(({ format }) => format),
        ["qcow2", "qcow2", "raw"],
      );
      await stage().guest.stop();
      const [top, middle] = [file(stage(), "path2", "top.qcow2", "qcow2"), file(stage(), "path2", "middle.qcow2", "qcow2")];
      await run("cmp", [stage().at("base-as-it-was.raw"), stage().at("path2", "base.raw")]);
      const header = await run("qemu-img", ["info", "-f", "qcow2", "--output=json", middle.path]);
      assert.equal(JSON.parse(header)["backing-filename-format"], "raw");
      await sameContent(stage(), [top, middle, file(stage(), "path2", "base.raw", "raw")]);
    });
  });
}

describe("a raw base with a qcow2 header in it, below a layer that stays where it is", function () {
  this.timeout(180_000);
  const stage = onStage({ disks: trapped });

  it("is opened as raw after the move too", async () => {
    const { vdb } = await stage().moves({ disks: ["vdb"], keepBase: stage().at("path1", "middle.qcow2") });
    assert.deepEqual(
      vdb?.chain.map(({ format }) => format),
      ["qcow2", "qcow2", "raw"],
    );
    await stage().guest.stop();
    const staying = [file(stage(), "path1", "middle.qcow2", "qcow2"), file(stage(), "path1", "base.raw", "raw")];
    await sameContent(stage(), [file(stage(), "path2", "top.qcow2", "qcow2"), ...staying]);
  });
});

/** What a guest reads from the chain is what it reads from the former active image, which the move has put aside, and the layers below that. */
async function sameContent(stage: { at(...names: string[]): string }, chain: readonly { path: string; format: string }[]): Promise<void> {
  const former = (await readdir(stage.at("path1"))).find((name) => name.startsWith("top.qcow2.lm-"));
  assert(former !== undefined);
  assert((await stat(stage.at("path1", "base.raw"))).size > 0);
  const source = [
    file(stage, "path1", former, "qcow2"),
    file(stage, "path1", "middle.qcow2", "qcow2"),
    file(stage, "path1", "base.raw", "raw"),
  ];
  await run("qemu-img", ["compare", "-U", nameOf(source), nameOf(chain)]);
}

/** Layer by layer, by what each is and not by what a header says. */
function nameOf(chain: readonly { path: string; format: string }[]): string {
  const options = ([top, ...below]: readonly { path: string; format: string }[]): object | null => {
    if (!top) return null;
    const image = { driver: top.format, file: { driver: "file", filename: top.path } };
    return top.format === "raw" ? image : { ...image, backing: options(below) };
  };
  return `json:${JSON.stringify(options(chain))}`;
}
