/** A guest whose command line names its disks through a link: whether the link leads to the disk, and where a boot finds it. */

import assert from "node:assert/strict";
import { symlink } from "node:fs/promises";
import { bootPathOf, type IsOpen, isFileOpen } from "../../../../provider/flows/move/look/by-link.js";
import { definitionBehind } from "../../../../provider/flows/move/look/definition.js";
import { shownPlaces } from "../../../../provider/flows/move/look/shown.js";
import { emptyView } from "../noting-guest.js";
import { MoveScene, overlayName } from "../scene.js";

/** `link` leads to path1, where QEMU has found the disk through it. */
async function linked(): Promise<MoveScene> {
  const scene = await MoveScene.open();
  await symlink(scene.at("path1"), scene.at("link"));
  return scene;
}

describe("whether a name through a link leads to the file that QEMU has open", () => {
  const isOpen = async (
    scene: MoveScene,
    { named = "link/disk.qcow2", link = true, open = ["path1/disk.qcow2"] as string[] | "hidden" } = {},
  ) => {
    const process = open === "hidden" ? undefined : await scene.process(...open);
    const { site } = scene.site({}, link ? { link: scene.at("link") } : {});
    return isFileOpen(site, async () => process, { named: scene.at(named), directory: scene.at("path1") });
  };

  it("is true where QEMU has the file under the name open", async () => {
    await using scene = await linked();
    assert.equal(await isOpen(scene), "open");
  });

  it("is false where QEMU has another file open", async () => {
    await using scene = await linked();
    assert.equal(await isOpen(scene, { open: ["path1/base.raw"] }), "another");
  });

  it("is false where the name leads nowhere", async () => {
    await using scene = await linked();
    assert.equal(await isOpen(scene, { named: "link/none" }), "another");
  });

  it("is unknown where the host hides which files QEMU has open", async () => {
    await using scene = await linked();
    assert.equal(await isOpen(scene, { open: "hidden" }), "unknown");
  });

  it("is not checked without a link, nor for a name that leads through no link", async () => {
    await using scene = await linked();
    assert.equal(await isOpen(scene, { link: false, open: ["path1/base.raw"] }), "unknown");
    assert.equal(await isOpen(scene, { named: "path1/disk.qcow2", open: ["path1/base.raw"] }), "unknown");
  });
});

describe("where a boot finds the disk", () => {
  const path = async (
    scene: MoveScene,
    isOpen: IsOpen,
    { current = undefined as string | undefined, directory = "path1", link = true, openPaths = [] as readonly string[] } = {},
  ) => {
    const { site } = scene.site({}, link ? { link: scene.at("link") } : {});
    const found = { named: scene.at("link/disk.qcow2"), directory: scene.at(directory), isOpen, current };
    const process = openPaths.length === 0 ? undefined : { ...(await scene.process()), openPaths };
    return (await bootPathOf(site, async () => process, found)).slice(scene.folder.length + 1);
  };

  for (const isOpen of ["open", "unknown"] as const)
    it(`is through the link where that leads to the disk's directory, and the file is ${isOpen}`, async () => {
      await using scene = await linked();
      assert.equal(await path(scene, isOpen), "link/disk.qcow2");
    });

  it("is by the place itself where the link leads elsewhere", async () => {
    await using scene = await linked();
    assert.equal(await path(scene, "open", { directory: "path2" }), "path2/disk.qcow2");
  });

  it("is what a move calls current where the link leads elsewhere, or there is none", async () => {
    await using scene = await linked();
    const current = scene.at("path1/current");
    assert.equal(await path(scene, "open", { directory: "path2", current }), "path1/current");
    assert.equal(await path(scene, "another", { current }), "path1/current");
    assert.equal(await path(scene, "unknown", { link: false, current }), "path1/current");
    assert.equal(await path(scene, "unknown", { link: false }), "link/disk.qcow2");
  });

  it("is not through a link whose name leads to another file, even to the disk's directory", async () => {
    await using scene = await linked();
    assert.equal(await path(scene, "another"), "link/disk.qcow2"); // as QEMU names it: nobody tells better
  });

  it("is the name by which the kernel knows the open file, where the link leads to another one", async () => {
    await using scene = await linked();
    const openPaths = ["path1/disk.qcow2", "path1/base.raw"].map((each) => scene.at(each));
    assert.equal(await path(scene, "another", { openPaths }), "path1/disk.qcow2");
  });

  it("is not told by the kernel where two open files have the same name", async () => {
    await using scene = await linked();
    const openPaths = ["path1/disk.qcow2", "path2/disk.qcow2"].map((each) => scene.at(each));
    assert.equal(await path(scene, "another", { openPaths }), "link/disk.qcow2");
  });
});

describe("a persistent definition", () => {
  it("is behind where it names another image of this very move than the guest runs on", async () => {
    await using scene = await MoveScene.open();
    const manifest = await scene.frozen("commit");
    const named = scene.at("path1/disk.qcow2");
    const images = [named, scene.at(`path1/${overlayName}`), scene.at(`path2/${overlayName}`), scene.at("path2/disk.qcow2")];
    assert.deepEqual(
      images.map((definedAt) => definitionBehind(manifest, { definedAt }, named)),
      [false, true, true, true],
    );
    assert.equal(definitionBehind(manifest, { definedAt: named }, images[1] ?? ""), true);
  });

  it("is not behind where there is none, or somebody else wrote it", async () => {
    await using scene = await MoveScene.open();
    const manifest = await scene.manifest();
    const named = scene.at("path1/disk.qcow2");
    assert.equal(definitionBehind(manifest, {}, named), false);
    assert.equal(definitionBehind(manifest, { definedAt: "/theirs" }, named), false);
  });
});

describe("the place that is shown of several disks", () => {
  const shown = (
    scene: MoveScene,
    disks: [name: string, directory: string, phase: "settled" | "misdefined" | "idle"][],
    wanted?: string,
  ) => {
    const all = disks.map(([disk, directory, phase]) => {
      const seen = phase === "misdefined" ? { phase, definedAt: "/x" } : { phase };
      return scene.disk({ disk, seen, active: { named: "", directory } });
    });
    return shownPlaces(scene.host, { view: emptyView, disks: all }, wanted);
  };

  it("is one directory however it is spelled", async () => {
    await using scene = await MoveScene.open();
    const [one, same] = [scene.at("path1"), scene.at("path2/../path1")];
    assert.equal(
      await shown(scene, [
        ["vda", one, "idle"],
        ["vdb", same, "idle"],
      ]),
      one,
    );
  });

  it("is the wanted one as it was declared, for a disk that is there", async () => {
    await using scene = await MoveScene.open();
    const declared = `${scene.at("path1")}/.`;
    for (const phase of ["settled", "misdefined"] as const)
      assert.equal(await shown(scene, [["vda", scene.at("path1"), phase]], declared), declared);
    assert.equal(await shown(scene, [["vda", scene.at("path1"), "idle"]], declared), scene.at("path1"));
    assert.equal(await shown(scene, [["vda", scene.at("path1"), "settled"]]), scene.at("path1"));
  });

  it("tells each directory with its disks, in an order that does not change", async () => {
    await using scene = await MoveScene.open();
    const [one, two] = [scene.at("path1"), scene.at("path2")];
    const text = await shown(scene, [
      ["vdc", one, "idle"],
      ["vdb", two, "idle"],
      ["vda", one, "idle"],
    ]);
    assert.equal(
      text,
      await shown(scene, [
        ["vda", one, "idle"],
        ["vdc", one, "idle"],
        ["vdb", two, "idle"],
      ]),
    );
    assert(text.indexOf(one) < text.indexOf(two) && /vda.*vdc.*vdb/.test(text), text);
  });

  it("keeps apart directories that are not there", async () => {
    await using scene = await MoveScene.open();
    const text = await shown(scene, [
      ["vda", "/none/a", "idle"],
      ["vdb", "/none/b", "idle"],
    ]);
    assert(text.includes("/none/a") && text.includes("/none/b"), text);
  });
});
