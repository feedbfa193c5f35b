/** From the job of a move to where the move stands. */

import assert from "node:assert/strict";
import type { Job } from "../../../../provider/core/disk/job.js";
import { jobNames } from "../../../../provider/core/disk/names.js";
import { phaseOf } from "../../../../provider/flows/move/look/phases.js";
import { phaseOfMirror } from "../../../../provider/flows/shared/phase.js";
import type { Manifest } from "../../../../provider/journal/manifest.js";
import { aJob, key, MoveScene, overlayName } from "../scene.js";
import { evidenceOf, type Shown } from "./evidence.js";
import { check, mirrored, onTarget, overlayNode, switched, target } from "./phase-cases.js";

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
