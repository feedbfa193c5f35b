/** What each switch of a move is for its disks, and that right before it everything is still there. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { LayerFile } from "../../../provider/core/disk/chain-options.js";
import { fileNames, jobNames } from "../../../provider/core/disk/names.js";
import { isKind } from "../../../provider/core/errors.js";
import { checkLanded } from "../../../provider/flows/move/landed.js";
import { removeTarget, startMirror } from "../../../provider/flows/move/steps/mirroring.js";
import {
  collapseOf,
  committedTo,
  decidingOf,
  foldOf,
  linkMovesIn,
  linkSwitchOf,
  openText,
  pivotOf,
} from "../../../provider/flows/shared/disk-switches.js";
import type { GuestView } from "../../../provider/hypervisor/hypervisor.js";
import { type Manifest, manifestText } from "../../../provider/journal/manifest.js";
import { emptyView } from "./noting-guest.js";
import { key, MoveScene, overlayName } from "./scene.js";

const record = fileNames.manifest(key);

function at(scene: MoveScene) {
  return { site: scene.site().site, seen: { view: emptyView, disks: [] }, deciding };
}

const deciding = { decidedBy: "switch-record", path: `/path1/${fileNames.switchRecord(key)}` } as const;

async function ready(scene: MoveScene, more: Partial<Manifest> = {}): Promise<Manifest> {
  await scene.copied("path2/base.raw");
  await scene.write("path2/disk.qcow2");
  return scene.manifest(more);
}

describe("the switch of a disk", () => {
  it("to the target is the end of its mirror, and takes the former image its name", async () => {
    await using scene = await MoveScene.open();
    const manifest = await ready(scene);
    const part = await pivotOf(at(scene), scene.written(manifest));
    assert.deepEqual(
      { ...part, manifests: part.manifests.map(({ path }) => path) },
      {
        ...{ disk: "vda", qdev: "vda", job: { id: jobNames.mirror(key), kind: "copy" }, node: manifest.destination.node },
        ...{ source: manifest.current, chain: scene.image().chain, target: { path: manifest.destination.target, format: "qcow2" } },
        manifests: ["path1", "path2"].map((side) => scene.at(`${side}/${record}`)),
        stale: { active: manifest.source.active, quarantine: manifest.quarantine, standIn: "none" },
      },
    );
  });

  it("says what the manifests say, and what they shall say up to the sizes of both images: what decides", async () => {
    await using scene = await MoveScene.open();
    const manifest = await ready(scene);
    for (const { now, next } of (await pivotOf(at(scene), scene.written(manifest))).manifests) {
      assert.equal(now, manifestText(manifest));
      const [head, afterSource, afterTarget] = next;
      const whole = JSON.parse(`${head}"sizeBytes": 1, "modified": "2"${afterSource}"sizeBytes": 3, "modified": "4"${afterTarget}`);
      assert.deepEqual(whole.current, { ...deciding, before: manifest.current, after: manifest.destination.target });
      assert.deepEqual(whole.pending, {
        before: { ...(await scene.which("path1/disk.qcow2")), sizeBytes: 1, modified: "2" },
        after: { ...(await scene.which("path2/disk.qcow2")), sizeBytes: 3, modified: "4" },
      });
    }
  });

  it("of a raw image needs a stand-in at its old name, but not under an overlay", async () => {
    await using scene = await MoveScene.open();
    const raw = { image: scene.image([["path1/disk.qcow2", "raw"]]) };
    const manifest = await ready(scene);
    assert.equal((await pivotOf(at(scene), scene.written(manifest, raw))).stale?.standIn, "needed");
    await scene.write(`path2/${overlayName}`);
    const frozen = await scene.frozen("commit");
    assert.equal((await pivotOf(at(scene), scene.written(frozen, raw))).stale?.standIn, "none");
  });

  it("to an image that is not there is a fault of ours", async () => {
    await using scene = await MoveScene.open();
    const manifest = await scene.manifest();
    await assert.rejects(pivotOf(at(scene), scene.written(manifest)), (thrown) => isKind(thrown, "bug"));
  });

  for (const [what, partOf, file, committed] of [
    ["the landed image", collapseOf, "path2/disk.qcow2", "destination"],
    ["the former image", foldOf, "path1/disk.qcow2", "source"],
  ] as const)
    it(`to ${what} is the end of a commit, records that the overlay's content is there, and makes nothing stale`, async () => {
      await using scene = await MoveScene.open();
      await scene.write("path2/disk.qcow2");
      const manifest = await scene.frozen("commit");
      const image = scene.image([
        ["path1/top.qcow2", "qcow2"],
        [file, "qcow2"],
      ]);
      const seen = { view: { ...emptyView, nodes: [{ name: "below", driver: "qcow2", file: scene.at(file) }] }, disks: [] };
      const { job, node, target, stale, manifests } = await partOf(
        { site: scene.site().site, seen, deciding },
        scene.written(manifest, { image }),
      );
      const commit = { id: jobNames.commit(key), kind: "active-commit" };
      assert.deepEqual([job, node, target, stale], [commit, "below", { path: scene.at(file), format: "qcow2" }, undefined]);
      const [record] = manifests;
      assert(record);
      const next = JSON.parse(record.next.join('"sizeBytes": 1, "modified": "2"'));
      assert.deepEqual([next.current.after, next.overlay.committed], [scene.at(file), committed]);
      assert.equal(JSON.parse(record.now).overlay.committed, undefined);
    });

  it("by a commit is a fault of ours in a move without an overlay", async () => {
    await using scene = await MoveScene.open();
    const manifest = await scene.manifest();
    assert.throws(
      () => committedTo(manifest, "source"),
      (thrown) => isKind(thrown, "bug"),
    );
  });

  it("re-points the link of the move, if there is one, to the destination, and back to where it led", async () => {
    await using scene = await MoveScene.open();
    const link = { path: "/vm/web", before: "../path1" };
    const manifest = await scene.manifest({ link });
    assert.deepEqual(linkSwitchOf(scene.disk(), manifest), {
      path: "/vm/web",
      next: { path: fileNames.linkNext("/vm/web", key), leadsTo: scene.at("path2") },
      back: { path: fileNames.linkBack("/vm/web", key), leadsTo: "../path1" },
    });
    assert.equal(linkSwitchOf(scene.disk(), await scene.manifest()), undefined);
    assert.equal(linkSwitchOf(undefined, manifest), undefined);
  });

  it("moves the link with the pivot, and only with collapse commit at its end", async () => {
    await using scene = await MoveScene.open();
    const moves = [await scene.manifest(), await scene.frozen("commit"), await scene.frozen("pull"), await scene.frozen("none")].map(
      linkMovesIn,
    );
    assert.deepEqual(moves, ["pivot", "collapse", "pivot", "pivot"]);
  });

  it("parts a manifest's text at the two sizes that are not known yet, and takes no other text", () => {
    const open = '"sizeBytes": 0,\n "modified": ""';
    assert.deepEqual(openText(`{"sizeBytes": 1, ${open}, ${open}}`), ['{"sizeBytes": 1, ', ", ", "}"]);
    for (const text of [open, `${open}${open}${open}`, ""])
      assert.throws(
        () => openText(text),
        (thrown) => isKind(thrown, "bug"),
      );
  });

  it("is decided by the link that moves with it, else by a record beside the first disk's manifest at the source", async () => {
    await using scene = await MoveScene.open();
    const manifest = await scene.manifest({ link: { path: "/vm/web", before: "../path1" } });
    const decides = (...[at, moves]: [Manifest, boolean]) => {
      const { decidedBy: by, path } = decidingOf(scene.disk(), at, moves);
      return [by, path];
    };
    const record = ["switch-record", scene.at(`path1/${fileNames.switchRecord(key)}`)];
    assert.deepEqual(decides(manifest, true), ["link", "/vm/web"]);
    assert.deepEqual(decides(manifest, false), record);
    assert.deepEqual(decides(await scene.manifest(), true), record);
  });
});

describe("right before the pivot", () => {
  const landed = async (spoil: (scene: MoveScene, manifest: Manifest) => Promise<unknown>, given = ready) => {
    await using scene = await MoveScene.open();
    const manifest = await given(scene);
    await spoil(scene, manifest);
    await checkLanded(scene.site().site, [scene.written(manifest)]);
  };
  const refused = (name: string) => (thrown: unknown) =>
    isKind(thrown, "user") &&
    thrown.message.includes(`path2/${name} is not there any more as this move made it`) &&
    thrown.message.includes("the mirror goes on");
  const adopted = async (scene: MoveScene) => {
    await scene.write("path2/disk.qcow2");
    await scene.write("path2/base.raw");
    return scene.manifest({ layers: [await scene.layer({ coming: "adopt", adopted: await scene.identity("path2/base.raw") })] });
  };

  it("all that a boot will look for is there", () => landed(async () => {}));
  it("an adopted layer is there as it was compared", () => landed(async () => {}, adopted));
  it("a target that is gone is refused", () =>
    assert.rejects(
      landed((scene) => scene.take("path2/disk.qcow2")),
      refused("disk.qcow2"),
    ));
  it("another file with the target's name is refused", () =>
    assert.rejects(
      landed(async (scene) => {
        await scene.move("path2/disk.qcow2", "elsewhere");
        await scene.write("path2/disk.qcow2");
      }),
      refused("disk.qcow2"),
    ));
  it("a target that was never recorded as made is refused", () =>
    assert.rejects(
      landed(async (_, manifest) => void delete manifest.destination.file),
      refused("disk.qcow2"),
    ));
  it("a copied layer that is gone is refused", () =>
    assert.rejects(
      landed((scene) => scene.take("path2/base.raw")),
      refused("base.raw"),
    ));
  it("a copied layer without its sidecar is refused", () =>
    assert.rejects(
      landed((scene) => scene.take("path2/base.raw.lm-layer")),
      refused("base.raw"),
    ));
  it("an adopted layer that is gone is refused", () =>
    assert.rejects(
      landed((scene) => scene.take("path2/base.raw"), adopted),
      refused("base.raw"),
    ));
  it("an adopted layer that was written to is refused", () =>
    assert.rejects(
      landed((scene) => scene.write("path2/base.raw", "other"), adopted),
      refused("base.raw"),
    ));
});

/** As QEMU tells it of a target on its copied base. */
function opened(scene: MoveScene): LayerFile[] {
  return [
    { path: scene.at("path2/disk.qcow2"), format: "qcow2" },
    { path: scene.at("path2/base.raw"), format: "raw" },
  ];
}

function onItsNode(scene: MoveScene): GuestView {
  return { ...emptyView, nodes: [{ name: "vda-old", driver: "qcow2", file: scene.at("path1/disk.qcow2") }] };
}

describe("a mirror that begins", () => {
  it("removes what an earlier one left, records what it makes before that has its name, and mirrors the top onto it", async () => {
    await using scene = await MoveScene.open();
    const manifest = await ready(scene, { destination: { ...(await ready(scene)).destination } });
    const former = await scene.which("path2/disk.qcow2");
    const states: string[] = [];
    const { site, asked } = scene.site({
      openTarget: async () => void states.push(JSON.parse(await readFile(scene.at(`path2/${record}`), "utf8")).destination.file.ino),
      openedChain: async () => opened(scene),
    });
    const image = { ...scene.image(), creation: { format: "qcow2", options: {} } };
    await startMirror(site, { view: onItsNode(scene), disks: [] }, scene.disk({ image }), manifest);
    const made = await scene.which("path2/disk.qcow2");
    assert.deepEqual(
      [states, manifest.destination.file, manifest.written, manifest.formerNodes],
      [[made.ino], made, { node: "vda-old", image: "former" }, ["vda-old"]],
    );
    assert.notDeepEqual(made, former);
    assert.deepEqual(
      asked.map((line) => line.split(" ")[0]),
      ["closeNodes", "openTarget", "openedChain", "process", "startMirror"],
    );
    assert.match(asked[4] ?? "", /"source":"vda-old","sync":"top"/);
    assert(!existsSync(scene.at(`path2/${fileNames.newborn(key)}`)));
  });

  it("removes no file that it has not made", async () => {
    await using scene = await MoveScene.open();
    const manifest = await ready(scene);
    await scene.move("path2/disk.qcow2", "elsewhere");
    await scene.write("path2/disk.qcow2", "somebody's");
    await assert.rejects(removeTarget(scene.site().site, scene.disk(), manifest), (thrown) => isKind(thrown, "user"));
    assert.equal(await readFile(scene.at("path2/disk.qcow2"), "utf8"), "somebody's");
  });

  it("onto an image without a backing copies all of it", async () => {
    await using scene = await MoveScene.open();
    const { backing: _, ...destination } = (await scene.manifest()).destination;
    const { site, asked } = scene.site({ openedChain: async () => opened(scene).slice(0, 1) });
    const { chain = [] } = await scene.manifest();
    const alone = await scene.manifest({ destination, layers: [], chain: chain.slice(0, 1) });
    await startMirror(site, { view: emptyView, disks: [] }, scene.disk(), alone);
    assert.match(asked.at(-1) ?? "", /"sync":"full"/);
  });

  it("from an image on which no mirror may stand is a fault of ours", async () => {
    await using scene = await MoveScene.open();
    const manifest = await scene.manifest();
    await assert.rejects(
      startMirror(scene.site().site, { view: onItsNode(scene), disks: [] }, scene.disk({ standing: "target" }), manifest),
      (thrown) => isKind(thrown, "bug"),
    );
  });
});
