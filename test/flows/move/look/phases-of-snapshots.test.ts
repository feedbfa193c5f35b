/** Where a move stands that freezes the disk under an overlay, and a disk on an image that is none of its move's. */

import assert from "node:assert/strict";
import { phaseOf } from "../../../../provider/flows/move/look/phases.js";
import { committedTo } from "../../../../provider/flows/shared/disk-switches.js";
import { createImage } from "../../../../provider/image/qemu-img.js";
import type { Manifest, Standing } from "../../../../provider/journal/manifest.js";
import { MoveScene, overlayName, passingName } from "../scene.js";
import { evidenceOf, type Shown } from "./evidence.js";
import { type Case, check, landing, mirrored, onTarget, overlayNode, target } from "./phase-cases.js";

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
      title: "when the guest runs on the former image, and a fold down through libvirt was cut between its pivot and the manifests",
      given: async (scene) => {
        const manifest = committedTo(await scene.frozen("commit"), "source");
        await scene.write(`path1/${overlayName}`, "empty no more");
        return manifest;
      },
      ...{ standing: "former", phase: "folded" },
    },
    {
      title: "when the overlay takes the writes, and a fold down through libvirt was cut before its pivot",
      given: async (scene) => committedTo(await scene.frozen("commit"), "source"),
      ...{ shown: onOverlay, standing: "overlay", phase: "not-let-go" },
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
