/** From the files on the host, QEMU's nodes and jobs, and what is written down, to where a disk's move stands. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import type { Job } from "../../../../provider/core/disk/job.js";
import { jobNames, nodeNames } from "../../../../provider/core/disk/names.js";
import type { Phase } from "../../../../provider/flows/move/look/observation.js";
import { phaseOf, phaseOfMirror } from "../../../../provider/flows/move/look/phases.js";
import { createImage } from "../../../../provider/image/qemu-img.js";
import type { Manifest, Standing } from "../../../../provider/journal/manifest.js";
import { aJob, key, MoveScene, overlayName, passingName } from "../scene.js";
import { evidenceOf, type Shown } from "./evidence.js";

const target = nodeNames.targets(key)[0];
const overlayNode = nodeNames.overlay(key);
const landing = nodeNames.landings(key)[0];

interface Case {
  title: string;
  /** Makes the files, and what is written down. */
  given: (scene: MoveScene) => Promise<Manifest>;
  shown?: Shown | ((scene: MoveScene, manifest: Manifest) => Promise<Shown>);
  standing: Standing;
  phase: Phase["phase"];
  /** Of a contradiction, or of a directory that is another one. */
  why?: RegExp;
}

function check(cases: readonly Case[]): void {
  for (const { title, given, shown, standing, phase, why } of cases) {
    it(`is ${phase} ${title}`, async () => {
      await using scene = await MoveScene.open();
      const manifest = await given(scene);
      const found = await phaseOf(evidenceOf(scene, manifest, typeof shown === "function" ? await shown(scene, manifest) : shown));
      assert.deepEqual([found.standing, found.seen.phase], [standing, phase], JSON.stringify(found.seen));
      assert.match("why" in found.seen ? found.seen.why : "", why ?? /^$/);
    });
  }
}

/** Strategy mirror: all is copied, and the target is there. */
async function mirrored(scene: MoveScene, more: Partial<Manifest> = {}): Promise<Manifest> {
  await scene.copied("path2/base.raw");
  await scene.write("path2/disk.qcow2");
  return scene.manifest(more);
}

/** The switch to the target is written down. */
async function switched(scene: MoveScene): Promise<Manifest> {
  const manifest = await mirrored(scene);
  return { ...manifest, current: manifest.destination.target, switched: await scene.identity("path2/disk.qcow2") };
}

/** Strategy snapshot: the guest runs on the target, and a boot must find it there. */
async function onTarget(
  scene: MoveScene,
  collapse: "commit" | "pull" | "none",
  more: Partial<Manifest["overlay"]> = {},
): Promise<Manifest> {
  const manifest = await scene.frozen(collapse, {}, more);
  await scene.write(`path2/${collapse === "pull" ? "disk.qcow2" : overlayName}`);
  return { ...manifest, current: manifest.destination.target };
}

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

describe("the phase of a move by its job", () => {
  const running = (status: Job["status"], more: Partial<Job> = {}): Shown => ({ jobs: [{ ...aJob, status, ...more }] });
  check([
    {
      title: "while the mirror runs",
      given: (scene) => mirrored(scene),
      shown: running("running"),
      standing: "former",
      phase: "mirroring",
    },
    {
      title: "when the mirror has ended, and nothing is written down",
      given: (scene) => mirrored(scene),
      shown: running("concluded"),
      standing: "former",
      phase: "ended",
    },
    {
      title: "where a job of another disk runs",
      given: (scene) => mirrored(scene),
      shown: running("running", { id: "lm-ffffffff-mirror" }),
      standing: "former",
      phase: "copied",
    },
    {
      title: "where a copy of libvirt's with our name goes onto another file",
      given: (scene) => mirrored(scene),
      shown: running("running", { target: "/elsewhere" }),
      standing: "former",
      phase: "copied",
    },
    {
      title: "while a copy of libvirt's goes onto the target",
      given: (scene) => mirrored(scene),
      shown: async (scene) => running("running", { target: scene.at("path2/disk.qcow2") }),
      ...{ standing: "former", phase: "mirroring" },
    },
    {
      title: "where a commit of libvirt's without an overlay goes onto the former image",
      given: (scene) => mirrored(scene),
      shown: async (scene) => running("running", { id: jobNames.commit(key), target: scene.at("path1/disk.qcow2") }),
      ...{ standing: "former", phase: "copied" },
    },
    {
      title: "while the overlay is committed down at the source",
      given: (scene) => scene.frozen("commit"),
      shown: { on: `path1/${overlayName}`, node: overlayNode, ...running("running", { id: jobNames.commit(key), type: "commit" }) },
      ...{ standing: "overlay", phase: "folding" },
    },
    {
      title: "while libvirt commits the overlay down at the source",
      given: (scene) => scene.frozen("commit"),
      shown: async (scene) => ({
        on: `path1/${overlayName}`,
        node: overlayNode,
        ...running("running", { id: jobNames.commit(key), type: "commit", target: scene.at("path1/disk.qcow2") }),
      }),
      ...{ standing: "overlay", phase: "folding" },
    },
    {
      title: "when the overlay's content is in the former image",
      given: (scene) => scene.frozen("commit"),
      shown: { on: `path1/${overlayName}`, node: overlayNode, ...running("ready", { id: jobNames.commit(key), type: "commit" }) },
      ...{ standing: "overlay", phase: "fold-ready" },
    },
    {
      title: "while the target is committed down at the destination",
      given: (scene) => onTarget(scene, "commit"),
      shown: { on: `path2/${overlayName}`, node: target, ...running("running", { id: jobNames.commit(key), type: "commit" }) },
      ...{ standing: "target", phase: "collapsing" },
    },
    {
      title: "while libvirt commits the target down into the landed image",
      given: (scene) => onTarget(scene, "commit"),
      shown: async (scene) => ({
        on: `path2/${overlayName}`,
        node: target,
        ...running("running", { id: jobNames.commit(key), type: "commit", target: scene.at("path2/disk.qcow2") }),
      }),
      ...{ standing: "target", phase: "collapsing" },
    },
    {
      title: "when the target's content is in the landed image",
      given: (scene) => onTarget(scene, "commit"),
      shown: { on: `path2/${overlayName}`, node: target, ...running("ready", { id: jobNames.commit(key), type: "commit" }) },
      ...{ standing: "target", phase: "collapse-ready" },
    },
    {
      title: "when the mirror of the overlay is ready, which is no collapse",
      given: (scene) => scene.frozen("commit"),
      shown: { on: `path1/${overlayName}`, node: overlayNode, ...running("ready") },
      ...{ standing: "overlay", phase: "ready" },
    },
  ]);

  const pending: [string, (scene: MoveScene) => Promise<Manifest>, Shown, "source" | "destination"][] = [
    ["a mirror whose switch is not written down", (scene) => mirrored(scene), running("pending"), "source"],
    ["a mirror whose switch is written down", switched, running("pending"), "destination"],
    [
      "a mirror of an overlay that was committed before, and that no switch tells of",
      (scene) => scene.frozen("commit", {}, { committed: "source" }),
      { on: `path1/${overlayName}`, node: overlayNode, ...running("pending") },
      "source",
    ],
    [
      "a fold that is not written down",
      (scene) => scene.frozen("commit"),
      { on: `path1/${overlayName}`, node: overlayNode, ...running("pending", { id: jobNames.commit(key), type: "commit" }) },
      "source",
    ],
    [
      "a fold of which `current` tells, and not yet that the content is there",
      (scene) => scene.frozen("commit", { current: scene.at("path1/disk.qcow2") }),
      { on: `path1/${overlayName}`, node: overlayNode, ...running("pending", { id: jobNames.commit(key), type: "commit" }) },
      "source",
    ],
    [
      "a fold that is written down",
      (scene) => scene.frozen("commit", { current: scene.at("path1/disk.qcow2") }, { committed: "source" }),
      { on: `path1/${overlayName}`, node: overlayNode, ...running("pending", { id: jobNames.commit(key), type: "commit" }) },
      "destination",
    ],
    [
      "a collapse that is not written down",
      (scene) => onTarget(scene, "commit"),
      { on: `path2/${overlayName}`, node: target, ...running("pending", { id: jobNames.commit(key), type: "commit" }) },
      "source",
    ],
    [
      "a collapse that is written down",
      async (scene) => ({ ...(await onTarget(scene, "commit")), current: scene.at("path2/disk.qcow2") }),
      { on: `path2/${overlayName}`, node: target, ...running("pending", { id: jobNames.commit(key), type: "commit" }) },
      "destination",
    ],
    [
      "a pull, which changes no path that a boot must find",
      (scene) => onTarget(scene, "pull"),
      { on: "path2/disk.qcow2", node: target, ...running("pending", { id: jobNames.blockpull(key), type: "stream" }) },
      "destination",
    ],
  ];
  for (const [what, given, shown, current] of pending) {
    it(`is pending with current at the ${current} for ${what}`, async () => {
      await using scene = await MoveScene.open();
      const { seen } = await phaseOf(evidenceOf(scene, await given(scene), shown));
      assert(seen.phase === "pending", JSON.stringify(seen));
      assert.equal(seen.current, current);
    });
  }

  const statuses: Record<Job["status"], [Job["ioStatus"], string][]> = {
    ...{ undefined: [["ok", "mirroring"]], created: [["ok", "mirroring"]], running: [["ok", "mirroring"]] },
    paused: [
      ["ok", "stalled"],
      ["nospace", "stalled"],
    ],
    ready: [["ok", "ready"]],
    standby: [
      ["ok", "ready"],
      ["nospace", "stalled"],
      ["failed", "stalled"],
    ],
    ...{ waiting: [["ok", "turning"]], aborting: [["ok", "turning"]], null: [["ok", "turning"]] },
    ...{ pending: [["ok", "pending"]], concluded: [["ok", "ended"]] },
  };
  for (const [status, rows] of Object.entries(statuses)) {
    for (const [ioStatus, phase] of rows)
      it(`of a job that is ${status} with its I/O ${ioStatus} is ${phase}`, () => {
        const job: Job = { ...aJob, status: status as Job["status"], ioStatus };
        assert.deepEqual(phaseOfMirror(job, "destination"), { phase, job, ...(phase === "pending" && { current: "destination" }) });
      });
  }
});

describe("the phase of a move with strategy snapshot", () => {
  const onOverlay: Shown = { on: `path1/${overlayName}`, node: overlayNode };
  const beforeFreeze =
    (more: Partial<Manifest["overlay"]> = {}) =>
    (scene: MoveScene) =>
      scene.frozen("commit", { current: scene.at("path1/disk.qcow2") }, more);
  check([
    {
      title: "before the freeze, written down beside the source only",
      given: beforeFreeze(),
      shown: { sides: "source" },
      standing: "former",
      phase: "recorded",
    },
    { title: "before the freeze, written down at both", given: beforeFreeze(), standing: "former", phase: "unfrozen" },
    {
      title: "before the freeze, although `current` names the empty overlay",
      given: (scene) => scene.frozen("commit"),
      standing: "former",
      phase: "unfrozen",
    },
    {
      title: "before the freeze, when the overlay was never made",
      given: async (scene) => {
        const manifest = await beforeFreeze()(scene);
        await scene.take(`path1/${overlayName}`);
        return manifest;
      },
      ...{ standing: "former", phase: "unfrozen" },
    },
    {
      title: "before the freeze, when it is not recorded what the overlay was",
      given: async (scene) => {
        const manifest = await beforeFreeze()(scene);
        delete manifest.overlay?.made;
        return manifest;
      },
      ...{ standing: "former", phase: "unfrozen" },
    },
    {
      title: "when the guest was started from the frozen image, and the overlay holds writes",
      given: async (scene) => {
        const manifest = await scene.frozen("commit");
        await scene.write(`path1/${overlayName}`, "empty no more");
        return manifest;
      },
      ...{
        standing: "former",
        phase: "contradiction",
        why: /the guest runs on .*path1\/disk\.qcow2, which was frozen; what it wrote since then is in .*overlay\.qcow2, and is missing here/,
      },
    },
    {
      title: "when the guest was started from the frozen image after its move had switched",
      given: async (scene) => {
        const manifest = await onTarget(scene, "commit");
        await scene.write(`path1/${overlayName}`, "empty no more");
        return { ...manifest, switched: await scene.identity(`path2/${overlayName}`) };
      },
      ...{ standing: "former", phase: "contradiction", why: /which was frozen; .* start it from .*path2/ },
    },
    {
      title: "when the overlay was committed down, whatever it holds",
      given: async (scene) => {
        const manifest = await beforeFreeze({ committed: "source" })(scene);
        await scene.write(`path1/${overlayName}`, "empty no more");
        return manifest;
      },
      ...{ standing: "former", phase: "folded" },
    },
    {
      title: "when the overlay takes the writes, and what is below it is not recorded as a layer",
      given: async (scene) => scene.frozen("commit", { layers: (await scene.manifest()).layers }),
      ...{ shown: onOverlay, standing: "overlay", phase: "frozen" },
    },
    {
      title: "when the overlay takes the writes, and its layers are to be copied",
      given: (scene) => scene.frozen("commit"),
      shown: onOverlay,
      standing: "overlay",
      phase: "copying",
    },
    {
      title: "when the overlay takes the writes, and all its layers are there",
      given: async (scene) => {
        for (const name of ["path2/disk.qcow2", "path2/base.raw"]) await scene.copied(name);
        return scene.frozen("commit");
      },
      ...{ shown: onOverlay, standing: "overlay", phase: "copied" },
    },
    {
      title: "when the overlay takes the writes, and the destination is gone",
      given: async (scene) => {
        const manifest = await scene.frozen("commit");
        await scene.move("path2", "gone");
        return manifest;
      },
      ...{ shown: onOverlay, standing: "overlay", phase: "astray", why: /path2 is not there/ },
    },
    {
      title: "when the overlay takes the writes, and the fold down is recorded and was not made",
      given: async (scene) =>
        scene.frozen("commit", { current: scene.at("path1/disk.qcow2"), switched: await scene.identity("path1/disk.qcow2") }),
      ...{ shown: onOverlay, standing: "overlay", phase: "not-let-go" },
    },
    {
      title: "when the guest runs on the target of a commit",
      given: (scene) => onTarget(scene, "commit"),
      shown: { on: `path2/${overlayName}`, node: target },
      ...{ standing: "target", phase: "pivoted" },
    },
    {
      title: "when the guest runs on the overlay's other half, which stays",
      given: (scene) => onTarget(scene, "none"),
      shown: { on: `path2/${overlayName}`, node: target },
      ...{ standing: "target", phase: "switched" },
    },
    {
      title: "when the guest runs on the target of a pull, and still stands on the copied layer",
      given: (scene) => onTarget(scene, "pull"),
      shown: { on: "path2/disk.qcow2", node: target, below: [[`path2/${passingName}`, "qcow2"]] },
      ...{ standing: "target", phase: "pivoted" },
    },
    {
      title: "when the guest runs on the target, and the end of its collapse is recorded and was not made",
      given: async (scene) => {
        const manifest = await onTarget(scene, "commit");
        await scene.write("path2/disk.qcow2");
        return { ...manifest, current: scene.at("path2/disk.qcow2"), switched: await scene.identity("path2/disk.qcow2") };
      },
      shown: { on: `path2/${overlayName}`, node: target },
      ...{ standing: "target", phase: "not-let-go" },
    },
    {
      title: "when the guest runs on the landed image, which `current` names",
      given: async (scene) => {
        const manifest = await onTarget(scene, "commit");
        await scene.write("path2/disk.qcow2");
        return { ...manifest, current: scene.at("path2/disk.qcow2") };
      },
      shown: { on: "path2/disk.qcow2", node: landing },
      ...{ standing: "landing", phase: "switched" },
    },
    {
      title: "when the guest runs on the landed image that we opened, and nothing tells of it",
      given: async (scene) => {
        const manifest = await onTarget(scene, "commit");
        await scene.write("path2/disk.qcow2");
        return manifest;
      },
      shown: { on: "path2/disk.qcow2", node: landing },
      ...{ standing: "landing", phase: "not-let-go" },
    },
    {
      title: "when the guest was started from the landed image by hand, and nothing tells of it",
      given: async (scene) => {
        const manifest = await onTarget(scene, "commit");
        await scene.write("path2/disk.qcow2");
        return manifest;
      },
      shown: { on: "path2/disk.qcow2", node: "by-hand" },
      ...{ standing: "landing", phase: "contradiction", why: /the guest runs on .*path2\/disk\.qcow2, but no switch to that is recorded/ },
    },
    {
      title: "when the guest was started from the target by hand, and `current` is the overlay",
      given: async (scene) => {
        const manifest = await scene.frozen("commit");
        await scene.write(`path2/${overlayName}`);
        return { ...manifest, destination: { ...manifest.destination, file: await scene.which(`path2/${overlayName}`) } };
      },
      shown: { on: `path2/${overlayName}`, node: "by-hand" },
      ...{ standing: "target", phase: "contradiction", why: /no switch to that is recorded/ },
    },
    ...(
      [
        ["the overlay open as raw", onOverlay, "overlay", (scene) => scene.frozen("commit")],
        ["the target open as raw", { on: `path2/${overlayName}`, node: target }, "target", (scene) => onTarget(scene, "commit")],
        ["the former image open as raw, which was frozen as qcow2", {}, "former", (scene) => scene.frozen("commit")],
      ] as [string, Shown, Standing, Case["given"]][]
    ).map(
      ([title, shown, standing, given]): Case => ({
        title: `when the guest has ${title}`,
        ...{ given, shown: { ...shown, format: "raw" }, standing },
        ...{ phase: "contradiction", why: /open as raw, which is a qcow2 image: what it reads there is not its disk/ },
      }),
    ),
    {
      title: "when the landed image was frozen as raw, and the guest has it open so",
      given: async (scene) => {
        const manifest = await onTarget(scene, "commit");
        await scene.write("path2/disk.qcow2");
        const destination = { ...manifest.destination, backing: { name: "disk.qcow2", format: "raw" } };
        return { ...manifest, destination, current: scene.at("path2/disk.qcow2") };
      },
      shown: { on: "path2/disk.qcow2", node: landing, format: "raw" },
      ...{ standing: "landing", phase: "switched" },
    },
  ]);

  it("is copying from the base up: the lowest layer that is missing is first", async () => {
    await using scene = await MoveScene.open();
    const manifest = await scene.frozen("commit");
    const next = async () => {
      const { seen } = await phaseOf(evidenceOf(scene, manifest, onOverlay));
      return seen.phase === "copying" ? seen.layer.destination : seen.phase;
    };
    assert.equal(await next(), scene.at("path2/base.raw"));
    await scene.copied("path2/base.raw");
    assert.equal(await next(), scene.at("path2/disk.qcow2"));
  });

  for (const [header, phase, why] of [
    [passingName, "contradiction", /runs without .*, which .* still names in its header/],
    ["base.raw", "switched", /^$/],
    [undefined, "contradiction", /the header of .* cannot be read \(.+\), so it is not known whether/],
  ] as const) {
    it(`of a pull that QEMU's chain tells nothing of is ${phase} when the target's header ${header === undefined ? "cannot be read" : `names ${header === passingName ? "the copied layer" : "what is below it"}`}`, async () => {
      await using scene = await MoveScene.open();
      const manifest = await onTarget(scene, "pull");
      if (header !== undefined) {
        await scene.take("path2/disk.qcow2");
        const image = {
          path: scene.at("path2/disk.qcow2"),
          format: "qcow2",
          options: {},
          virtualBytes: 1024 * 1024,
          like: scene.at("path1/disk.qcow2"),
        };
        await createImage(scene.host, { ...image, backing: { name: header, format: "raw" } });
      }
      const { seen } = await phaseOf(evidenceOf(scene, manifest, { on: "path2/disk.qcow2", node: target }));
      assert.equal(seen.phase, phase, JSON.stringify(seen));
      assert.match("why" in seen ? seen.why : "", why);
    });
  }
});

describe("the phase of a disk on an image that is none of its move's", () => {
  const strayed = async (shown: Shown, given: (scene: MoveScene) => Promise<Manifest> = (scene) => mirrored(scene)) => {
    await using scene = await MoveScene.open();
    await scene.write("path1/theirs");
    const { standing, seen } = await phaseOf(evidenceOf(scene, await given(scene), shown));
    assert.equal(standing, "former");
    assert(seen.phase === "contradiction", seen.phase);
    return { ...seen, named: scene.at("path1/theirs") };
  };

  it("names somebody's overlay on top of the former image as what a boot must use", async () => {
    const { why, foreignTop, named } = await strayed({
      ...{
        on: "path1/theirs",
        below: [
          ["path1/disk.qcow2", "qcow2"],
          ["path1/base.raw", "raw"],
        ],
      },
    });
    assert.equal(foreignTop, named);
    assert.match(why, /somebody has put .*path1\/theirs on top of .*path1\/disk\.qcow2/);
  });

  for (const [image, chain] of [
    [
      "the overlay",
      [
        [`path1/${overlayName}`, "qcow2"],
        ["path1/disk.qcow2", "qcow2"],
        ["path1/base.raw", "raw"],
      ],
    ],
    [
      "the landed image",
      [
        ["path2/disk.qcow2", "qcow2"],
        ["path2/base.raw", "raw"],
      ],
    ],
  ] as const) {
    it(`names somebody's overlay on top of ${image} as what a boot must use`, async () => {
      const given = async (scene: MoveScene) => {
        for (const name of ["disk.qcow2", "base.raw"]) await scene.write(`path2/${name}`);
        return scene.frozen("commit");
      };
      const { foreignTop, named } = await strayed({ on: "path1/theirs", below: chain }, given);
      assert.equal(foreignTop, named);
    });
  }

  it("names none where the disk runs on a file that stands on nothing of the move", async () => {
    const { why, foreignTop } = await strayed({ on: "path1/theirs" });
    assert.equal(foreignTop, undefined);
    assert.match(
      why,
      /it runs on .*path1\/theirs, but a move from .*path1\/disk\.qcow2 to .*path2\/disk\.qcow2 was begun and not ended\. If somebody moved the disk by hand/,
    );
  });
});
