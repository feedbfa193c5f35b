/** From the files on the host, QEMU's nodes and jobs, and what is written down, to where a disk's move stands. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import type { Identity } from "../../../../provider/core/disk/identity.js";
import type { Manifest } from "../../../../provider/journal/manifest.js";
import { aJob } from "../scene.js";
import { check, mirrored, switched, target } from "./phase-cases.js";

/** The destination's directory as it was when the move began. */
function destinationWas(manifest: Manifest, was: Partial<Identity>): Manifest {
  const { directories } = manifest;
  assert(directories);
  return { ...manifest, directories: { ...directories, destination: { ...directories.destination, ...was } } };
}

/** Memory is another one after each boot. */
const unknown = { bootId: "before" };

describe("the phase of a move with strategy mirror", () => {
  const onFormer = { standing: "former" } as const;
  check([
    {
      title: "when it is written down beside the source only",
      given: (scene) => scene.manifest(),
      shown: { sides: "source" },
      ...onFormer,
      phase: "recorded",
    },
    { title: "as long as a layer is not there", given: (scene) => scene.manifest(), ...onFormer, phase: "copying" },
    {
      title: "as long as a layer is another disk's copy",
      given: (scene) => scene.copied("path2/base.raw", { user: "ffffffff" }).then(() => scene.manifest()),
      ...{ ...onFormer, phase: "copying" },
    },
    { title: "when every layer is there, and this disk stands on it", given: (scene) => mirrored(scene), ...onFormer, phase: "copied" },
    {
      title: "when the layer is one that lay there, and is as it was when it was compared",
      given: async (scene) => {
        await scene.write("path2/base.raw");
        return scene.manifest({ layers: [await scene.layer({ coming: "adopt", adopted: await scene.identity("path2/base.raw") })] });
      },
      ...{ ...onFormer, phase: "copied" },
    },
    {
      title: "when a layer that lay there was written to since it was compared",
      given: async (scene) => {
        await scene.write("path2/base.raw");
        const adopted = await scene.identity("path2/base.raw");
        await scene.write("path2/base.raw", "other content");
        return scene.manifest({ layers: [await scene.layer({ coming: "adopt", adopted })] });
      },
      ...{ ...onFormer, phase: "contradiction", why: /path2\/base\.raw has changed since the move began.* its twin is .*path1\/base\.raw/ },
    },
    {
      title: "when a layer that lay there is gone",
      given: async (scene) =>
        scene.manifest({ layers: [await scene.layer({ coming: "adopt", adopted: await scene.identity("path1/base.raw") })] }),
      ...{ ...onFormer, phase: "contradiction", why: /path2\/base\.raw has changed/ },
    },
    {
      title: "when a frozen layer was written to since the move began",
      given: async (scene) => {
        const manifest = await mirrored(scene);
        await scene.write("path1/base.raw", "somebody's");
        return manifest;
      },
      ...{ ...onFormer, phase: "contradiction", why: /path1\/base\.raw has changed since the move began/ },
    },
    {
      title: "when a frozen layer is gone",
      given: async (scene) => {
        const manifest = await mirrored(scene);
        await scene.take("path1/base.raw");
        return manifest;
      },
      ...{ ...onFormer, phase: "contradiction", why: /path1\/base\.raw has changed since the move began/ },
    },
    {
      title: "with verify, as long as the copy was not compared",
      given: (scene) => mirrored(scene),
      shown: { verify: "full" },
      ...{ ...onFormer, phase: "copying" },
    },
    {
      title: "with verify, when the copy is as it was compared",
      given: async (scene) => {
        await mirrored(scene);
        return scene.manifest({ layers: [await scene.layer({ compared: await scene.identity("path2/base.raw") })] });
      },
      shown: { verify: "full" },
      ...{ ...onFormer, phase: "copied" },
    },
    {
      title: "with verify, when the copy was made again since it was compared",
      given: async (scene) => {
        await mirrored(scene);
        const compared = await scene.identity("path2/base.raw");
        return scene.manifest({ layers: [await scene.layer({ compared: { ...compared, modified: "1.0" } })] });
      },
      shown: { verify: "full" },
      ...{ ...onFormer, phase: "copying" },
    },
    {
      title: "when the destination is another directory than when the move began",
      given: async (scene) => {
        const manifest = await mirrored(scene);
        await scene.move("path2", "gone");
        await mkdir(scene.at("path2"));
        return manifest;
      },
      ...{ ...onFormer, phase: "astray", why: /path2 is another directory than when the move began\. Mount its storage again/ },
    },
    {
      title: "when the destination has the inode of the one that it was, and is another one",
      given: async (scene) => destinationWas(await mirrored(scene), { handle: "1:other", birthNs: "1" }),
      ...{ ...onFormer, phase: "astray", why: /path2 is another directory than when the move began/ },
    },
    {
      title: "when nothing tells which directory the destination is, and the manifest is not in it, although it was written there",
      given: async (scene) => ({ ...destinationWas(await mirrored(scene), unknown), generation: 2 }),
      shown: { sides: "source" },
      ...{ ...onFormer, phase: "astray", why: /path2 is another directory than when the move began/ },
    },
    {
      title: "when nothing tells which directory the destination is, and the manifest is in it",
      given: async (scene) => ({ ...destinationWas(await mirrored(scene), unknown), generation: 2 }),
      ...{ ...onFormer, phase: "copied" },
    },
    {
      title: "when the destination is not there",
      given: async (scene) => {
        const manifest = await mirrored(scene);
        await scene.move("path2", "gone");
        return manifest;
      },
      ...{ ...onFormer, phase: "astray", why: /path2 is not there, but was when the move began/ },
    },
    {
      title: "when a manifest of 0.1.0 does not tell which directory the destination was",
      given: async (scene) => {
        const manifest = await mirrored(scene);
        const { ino: _, ...destination } = manifest.destination;
        return { ...manifest, destination };
      },
      ...{ ...onFormer, phase: "copied" },
    },
    {
      title: "when the guest runs on the target, which `current` names",
      given: switched,
      shown: { on: "path2/disk.qcow2", node: target },
      standing: "target",
      phase: "switched",
    },
    {
      title: "on the target although the destination has another inode by now: it was unmounted and mounted again",
      given: async (scene) => {
        const manifest = await switched(scene);
        return { ...manifest, destination: { ...manifest.destination, ino: "1" } };
      },
      shown: { on: "path2/disk.qcow2", node: target },
      ...{ standing: "target", phase: "switched" },
    },
  ]);
});

describe("the phase of a move whose switch was cut", () => {
  const awayFromTarget = /the guest does not run on .*path2\/disk\.qcow2, but its switch to that is recorded/;
  check([
    {
      title: "when it is recorded, the target is as it was, and the former image has its name",
      given: switched,
      standing: "former",
      phase: "not-let-go",
    },
    {
      title: "when it is recorded, and the former image has its name in quarantine",
      given: async (scene) => {
        const manifest = await switched(scene);
        await scene.move("path1/disk.qcow2", manifest.quarantine.slice(scene.folder.length));
        return { ...manifest, written: { node: "vda-old", image: "former" } };
      },
      shown: { beside: [target] },
      ...{ standing: "former", phase: "not-let-go" },
    },
    {
      title: "when it is recorded, and the target was written to since",
      given: async (scene) => {
        const manifest = await switched(scene);
        await scene.write("path2/disk.qcow2", "a guest's write");
        return manifest;
      },
      ...{ standing: "former", phase: "contradiction", why: awayFromTarget },
    },
    {
      title: "when it is recorded, and what the target was is not",
      given: async (scene) => {
        const { switched: _, ...manifest } = await switched(scene);
        return manifest;
      },
      ...{ standing: "former", phase: "contradiction", why: /path2\/disk\.qcow2 was written to since/ },
    },
    {
      title: "when it is recorded, and the target is gone",
      given: async (scene) => {
        const manifest = await switched(scene);
        await scene.take("path2/disk.qcow2");
        return manifest;
      },
      ...{ standing: "former", phase: "contradiction", why: awayFromTarget },
    },
    {
      title: "when it is recorded, and the former image has neither of its names",
      given: async (scene) => {
        const manifest = await switched(scene);
        await scene.move("path1/disk.qcow2", "path1/elsewhere");
        return { ...manifest, written: { node: "vda-old", image: "former" } };
      },
      shown: { beside: [target] },
      ...{ standing: "former", phase: "contradiction", why: /path1\/disk\.qcow2 does not have its name any more/ },
    },
    {
      title: "through libvirt wherever the guest is seen, even if the target was written to",
      given: async (scene) => {
        const manifest = await switched(scene);
        await scene.write("path2/disk.qcow2", "the copy went on");
        return manifest;
      },
      shown: { managed: true },
      ...{ standing: "former", phase: "not-let-go" },
    },
    {
      title: "when one side only tells of it, and the guest is where the other one says",
      given: (scene) => mirrored(scene),
      shown: async (scene) => ({ further: await switched(scene) }),
      ...{ standing: "former", phase: "not-let-go" },
    },
    {
      title: "when the guest runs on the target that we opened, and nothing tells of it",
      given: (scene) => mirrored(scene),
      shown: { on: "path2/disk.qcow2", node: target },
      ...{ standing: "target", phase: "not-let-go" },
    },
    {
      title: "when the guest was started from the target, and one side tells of it",
      given: (scene) => mirrored(scene),
      shown: async (scene) => ({ on: "path2/disk.qcow2", node: "again", further: await switched(scene) }),
      ...{ standing: "target", phase: "not-let-go" },
    },
    {
      title: "when the guest was started from the target by hand, and nothing tells of a switch",
      given: (scene) => mirrored(scene),
      shown: { on: "path2/disk.qcow2", node: "by-hand" },
      ...{
        standing: "target",
        phase: "contradiction",
        why: /the guest runs on .*path2\/disk\.qcow2, but no switch to that is recorded: .*path1\/disk\.qcow2 holds every write/,
      },
    },
    {
      title: "when the guest was started from the target by hand, and what differs tells of another switch",
      given: (scene) => mirrored(scene),
      shown: async (scene, manifest) => ({
        on: "path2/disk.qcow2",
        node: "by-hand",
        further: { ...manifest, current: scene.at("path1/disk.qcow2") },
      }),
      ...{ standing: "target", phase: "contradiction", why: /no switch to that is recorded/ },
    },
    {
      title: "through libvirt, when the guest runs on the target and nothing tells of it",
      given: (scene) => mirrored(scene),
      shown: { on: "path2/disk.qcow2", node: "vda", managed: true },
      ...{ standing: "target", phase: "not-let-go" },
    },
    {
      title: "before the ended job is looked at",
      given: switched,
      shown: { jobs: [{ ...aJob, status: "concluded" }] },
      ...{ standing: "former", phase: "not-let-go" },
    },
  ]);
});
