/** Which of a move's images takes the guest's writes, by QEMU's nodes and by what the host has under their names. */

import assert from "node:assert/strict";
import { symlink } from "node:fs/promises";
import { nodeNames, standInNames } from "../../../../provider/core/disk/names.js";
import { filesNow, isOpenByUs, standingOf } from "../../../../provider/flows/move/look/standing.js";
import type { Manifest } from "../../../../provider/journal/manifest.js";
import { key, MoveScene, overlayName } from "../scene.js";
import { evidenceOf, type Shown } from "./evidence.js";

const [target] = nodeNames.targets(key);
const landing = nodeNames.landings(key)[0];

async function standing(scene: MoveScene, manifest: Manifest, shown: Shown): Promise<string> {
  const evidence = evidenceOf(scene, manifest, shown);
  return standingOf(evidence, await filesNow(evidence));
}

interface Case {
  title: string;
  given: (scene: MoveScene) => Promise<Manifest>;
  shown: Shown | ((scene: MoveScene) => Promise<Shown>);
  is: string;
}

async function withTarget(scene: MoveScene): Promise<Manifest> {
  await scene.write("path2/disk.qcow2");
  return scene.manifest();
}

/** Frozen, with the target made. */
async function whole(scene: MoveScene): Promise<Manifest> {
  for (const name of [overlayName, "disk.qcow2"]) await scene.write(`path2/${name}`);
  const manifest = await scene.frozen("commit");
  return { ...manifest, destination: { ...manifest.destination, file: await scene.which(`path2/${overlayName}`) } };
}

/** The same, once a switch has renamed the former image; what QEMU names is a link to nothing. */
async function renamed(scene: MoveScene): Promise<Manifest> {
  const manifest = await withTarget(scene);
  await scene.move("path1/disk.qcow2", manifest.quarantine.slice(scene.folder.length));
  return manifest;
}

describe("the image that takes the guest's writes", () => {
  const overlay = `path1/${overlayName}`;
  const cases: Case[] = [
    {
      title: "the target by our node, wherever its name leads",
      given: withTarget,
      shown: { on: "path1/disk.qcow2", node: target },
      is: "target",
    },
    { title: "the overlay by our node", given: whole, shown: { on: overlay, node: nodeNames.overlay(key) }, is: "overlay" },
    { title: "the landed image by our node", given: whole, shown: { on: "path2/disk.qcow2", node: landing }, is: "landing" },
    {
      title: "the target by our node in a move with an overlay",
      given: whole,
      shown: { on: `path2/${overlayName}`, node: target },
      is: "target",
    },
    {
      title: "no overlay in a move without one, whatever the node is called",
      given: withTarget,
      shown: { on: "path1/disk.qcow2", node: nodeNames.overlay(key) },
      is: "former",
    },
    { title: "the former image by its file", given: withTarget, shown: {}, is: "former" },
    {
      title: "the target by its file, in a QEMU that was started from it",
      given: withTarget,
      shown: { on: "path2/disk.qcow2" },
      is: "target",
    },
    { title: "the overlay by its file", given: whole, shown: { on: overlay }, is: "overlay" },
    { title: "the landed image by its name", given: whole, shown: { on: "path2/disk.qcow2" }, is: "landing" },
    { title: "none of them by another file", given: withTarget, shown: { on: "path1/base.raw" }, is: "elsewhere" },
    { title: "none of them where the name leads nowhere", given: withTarget, shown: { on: "path1/none" }, is: "elsewhere" },
    {
      title: "none of them where the name leads to another file than QEMU has open",
      given: withTarget,
      shown: async (scene) => ({ process: await scene.process("path1/base.raw") }),
      is: "elsewhere",
    },
    {
      title: "the former image where QEMU has it open",
      given: withTarget,
      shown: async (scene) => ({ process: await scene.process("path1/disk.qcow2") }),
      is: "former",
    },
    {
      title: "none of them where the former image's name has another file by now",
      given: async (scene) => {
        const manifest = await withTarget(scene);
        await scene.move("path1/disk.qcow2", "path1/elsewhere");
        await scene.write("path1/disk.qcow2", "somebody's");
        return manifest;
      },
      shown: {},
      is: "elsewhere",
    },
    {
      title: "none of them on a file with the target's name that is not recorded as made",
      given: async (scene) => {
        const manifest = await scene.manifest();
        await scene.write("path2/disk.qcow2");
        return manifest;
      },
      shown: { on: "path2/disk.qcow2" },
      is: "elsewhere",
    },
    {
      title: "none of them on a file with the overlay's name that is not the one that was made",
      given: async (scene) => {
        const manifest = await scene.frozen("commit");
        await scene.move(overlay, "path1/elsewhere");
        await scene.write(overlay);
        return manifest;
      },
      shown: { on: overlay },
      is: "elsewhere",
    },
    {
      title: "not the target by its file, where our node is open beside it",
      given: withTarget,
      shown: { on: "path2/disk.qcow2", beside: [target] },
      is: "elsewhere",
    },
    {
      title: "the overlay by its file, where a node of ours is open beside it",
      given: whole,
      shown: { on: overlay, beside: [target] },
      is: "overlay",
    },
    {
      title: "the one whose node was written down, wherever its name leads",
      given: async (scene) => ({ ...(await withTarget(scene)), written: { node: "vda-old", image: "former" } }),
      shown: { on: "path2/disk.qcow2", beside: [target] },
      is: "former",
    },
    {
      title: "none of them where the node that was written down is open below another",
      given: async (scene) => ({ ...(await withTarget(scene)), written: { node: "below", image: "former" } }),
      shown: { beside: [target, "below"] },
      is: "elsewhere",
    },
    {
      title: "the former image by its file where the node that was written down is gone",
      given: async (scene) => ({ ...(await withTarget(scene)), written: { node: "gone", image: "former" } }),
      shown: { beside: [target] },
      is: "former",
    },
    {
      title: "not the target by its file where the node that was written down is gone",
      given: async (scene) => ({ ...(await withTarget(scene)), written: { node: "gone", image: "former" } }),
      shown: { on: "path2/disk.qcow2", beside: [target] },
      is: "elsewhere",
    },
    {
      title: "the former image, renamed by a switch that was cut, where no node was written down",
      given: renamed,
      shown: { beside: [target] },
      is: "former",
    },
    {
      title: "the renamed former image where QEMU has that open",
      given: renamed,
      shown: async (scene) => ({ beside: [target], process: await scene.process(scene.quarantine.slice(scene.folder.length)) }),
      is: "former",
    },
    {
      title: "none of them where QEMU has another file open than the renamed former image",
      given: renamed,
      shown: async (scene) => ({ beside: [target], process: await scene.process("path1/base.raw") }),
      is: "elsewhere",
    },
    {
      title: "none of them where QEMU names another file than the renamed former image",
      given: renamed,
      shown: { on: "path1/other", beside: [target] },
      is: "elsewhere",
    },
    {
      title: "the renamed former image where a stand-in has its name",
      given: async (scene) => {
        const manifest = await renamed(scene);
        const { empty } = standInNames(manifest.quarantine);
        await scene.write(empty.slice(scene.folder.length), "");
        await symlink(empty, manifest.source.active);
        return manifest;
      },
      shown: { beside: [target] },
      is: "former",
    },
    {
      title: "the former image through the link that a switch has re-pointed to the target",
      given: async (scene) => {
        await symlink(scene.at("path2"), scene.at("link"));
        return { ...(await withTarget(scene)), link: { path: scene.at("link"), before: scene.at("path1") } };
      },
      shown: { on: "link/disk.qcow2", beside: [target] },
      is: "former",
    },
    {
      title: "none of them through a link that is not the move's",
      given: async (scene) => {
        await symlink(scene.at("path2"), scene.at("link"));
        return { ...(await withTarget(scene)), link: { path: scene.at("other"), before: scene.at("path1") } };
      },
      shown: { on: "link/disk.qcow2", beside: [target] },
      is: "elsewhere",
    },
    {
      title: "none of them where the renamed former image is not the file that was written down",
      given: async (scene) => {
        const manifest = await withTarget(scene);
        await scene.write(manifest.quarantine.slice(scene.folder.length), "somebody's");
        await scene.move("path1/disk.qcow2", "elsewhere");
        return manifest;
      },
      shown: { beside: [target] },
      is: "elsewhere",
    },
  ];
  for (const { title, given, shown, is } of cases)
    it(`is ${title}`, async () => {
      await using scene = await MoveScene.open();
      const manifest = await given(scene);
      assert.equal(await standing(scene, manifest, typeof shown === "function" ? await shown(scene) : shown), is);
    });

  it("is open by us only by the node that we gave that very image", async () => {
    await using scene = await MoveScene.open();
    const manifest = await withTarget(scene);
    const open = (node: string, on: "target" | "landing" | "former") => isOpenByUs(evidenceOf(scene, manifest, { node }), on);
    assert.deepEqual(
      [open(target, "target"), open("vda-old", "target"), open(target, "former"), open(landing, "landing")],
      [true, false, false, false],
    );
  });
});
