/** What a move of a disk will be, worked out from what was seen; and the two steps of a freeze that write it down. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, symlink } from "node:fs/promises";
import { fileNames, nodeNames } from "../../../../provider/core/disk/names.js";
import { isKind, UserError } from "../../../../provider/core/errors.js";
import { draftMove } from "../../../../provider/flows/move/steps/draft.js";
import { freeze, recordFrozen } from "../../../../provider/flows/move/steps/freezing.js";
import { GuestNotRunning, type GuestView } from "../../../../provider/hypervisor/hypervisor.js";
import { manifestText, parseManifest } from "../../../../provider/journal/manifest.js";
import { type Answers, emptyView } from "../noting-guest.js";
import { key, MoveScene, overlayName, passingName } from "../scene.js";

const isUser = (words: RegExp) => (thrown: unknown) => isKind(thrown, "user") && words.test(thrown.message);
const now = new Date(0);
const snapshot = { strategy: "snapshot", restartDuringMove: "from-manifest" };

async function drafted(
  scene: MoveScene,
  {
    options = {},
    view = {},
    answers = {},
    chain = undefined as [string, string, string?][] | undefined,
  }: {
    options?: Record<string, unknown>;
    view?: Partial<GuestView>;
    answers?: Answers;
    chain?: [string, string, string?][] | undefined;
  } = {},
) {
  const image = scene.image(chain?.map(([name, format]) => [name, format] as const));
  const named = chain ?? [
    ["path1/disk.qcow2", "qcow2", "base.raw"],
    ["path1/base.raw", "raw"],
  ];
  const layers = image.chain.map((layer, index) => ({
    ...layer,
    ...(named[index]?.[2] !== undefined && { backingName: named[index][2], backingFormat: named[index + 1]?.[1] ?? "raw" }),
  }));
  const disk = scene.disk({ image: { ...image, chain: layers as unknown as typeof image.chain } });
  return draftMove(scene.site(answers, options).site, { ...emptyView, ...view }, disk, now);
}

describe("the draft of a move", () => {
  let scene: MoveScene;
  beforeEach(async () => {
    scene = await MoveScene.open();
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  it("is a manifest that is read as it was written", async () => {
    for (const options of [{}, snapshot, { ...snapshot, collapse: "pull" }, { ...snapshot, collapse: "none" }]) {
      const { manifest } = await drafted(scene, { options });
      assert.deepEqual(
        parseManifest(manifestText(manifest), scene.at(`path2/${fileNames.manifest(key)}`)),
        JSON.parse(JSON.stringify(manifest)),
      );
      assert.equal(manifest.current, scene.at("path1/disk.qcow2"));
    }
  });

  it("by strategy mirror lands each layer flat in the destination, and tells the whole chain", async () => {
    const { manifest, neededBytes } = await drafted(scene);
    assert.deepEqual(
      [manifest.destination.target, manifest.destination.active],
      [scene.at("path2/disk.qcow2"), scene.at("path2/disk.qcow2")],
    );
    assert.deepEqual(
      manifest.layers.map(({ source, destination, coming, rename }) => [source, destination, coming, rename]),
      [[scene.at("path1/base.raw"), scene.at("path2/base.raw"), "copy", undefined]],
    );
    assert.deepEqual(manifest.destination.backing, { name: "base.raw", format: "raw" });
    assert.deepEqual(
      manifest.chain?.map(({ path, ino }) => [path, ino]),
      await Promise.all(
        ["disk.qcow2", "base.raw"].map(async (name) => [scene.at(`path1/${name}`), (await scene.which(`path1/${name}`)).ino]),
      ),
    );
    assert.deepEqual([neededBytes, manifest.quarantine, manifest.overlay], [1024, scene.quarantine, undefined]);
  });

  for (const [collapse, target, active, landing] of [
    ["commit", overlayName, "disk.qcow2", "disk.qcow2"],
    ["pull", "disk.qcow2", "disk.qcow2", passingName],
    ["none", overlayName, overlayName, "disk.qcow2"],
  ] as const)
    it(`by strategy snapshot and ${collapse} ends on the image with the right name`, async () => {
      const { destination, overlay } = (await drafted(scene, { options: { ...snapshot, collapse } })).manifest;
      assert.deepEqual(
        [destination.target, destination.active, overlay?.landing].map((each) => each?.slice(scene.at("path2").length + 1)),
        [target, active, landing],
      );
      assert.deepEqual([overlay?.path, destination.backing], [scene.at(`path1/${overlayName}`), { name: landing, format: "qcow2" }]);
    });

  it("takes the other of its nodes where one is open from an earlier move", async () => {
    const [one, two] = nodeNames.targets(key);
    const node = async (...open: string[]) =>
      (await drafted(scene, { view: { nodes: open.map((name) => ({ name, driver: "qcow2", file: "" })) } })).manifest.destination.node;
    assert.deepEqual([await node(), await node(one), await node(two)], [one, two, one]);
  });

  it("adopts a layer that lies there and no move stands on, and needs no room for one that is another disk's copy", async () => {
    await scene.write("path2/base.raw");
    assert.equal((await drafted(scene)).manifest.layers[0]?.coming, "adopt");
    await scene.copied("path2/base.raw", { user: "ffffffff" });
    const { manifest, neededBytes } = await drafted(scene);
    assert.deepEqual([manifest.layers[0]?.coming, neededBytes], ["copy", 512]);
  });

  it("refuses a layer whose sidecar tells nobody who stands on it", async () => {
    await scene.copied("path2/base.raw", { user: "ffffffff" });
    await chmod(scene.at("path2/base.raw.lm-layer"), 0o664);
    await assert.rejects(
      drafted(scene),
      isUser(
        /base\.raw cannot be taken as it is: its sidecar \(\.lm-layer\) .*may be written by others\. Nothing was touched\. Let the move end/,
      ),
    );
  });

  it("writes down which files and directories it is about, and begins to count", async () => {
    const { manifest } = await drafted(scene);
    const [home, there] = await Promise.all(["path1", "path2"].map(async (name) => (await scene.which(name)).identity));
    assert.deepEqual([manifest.directories, manifest.generation], [{ source: home, destination: there }, 1]);
    const disk = await scene.which("path1/disk.qcow2");
    assert.deepEqual([manifest.source.identity, manifest.chain?.[0]?.identity], [disk.identity, disk.identity]);
    assert.deepEqual(manifest.layers[0]?.identity, await scene.identity("path1/base.raw"));
  });

  it("leaves a layer of another directory, and all below it, where it is, by its full path", async () => {
    await mkdir(scene.at("path3"));
    await scene.write("path3/base.raw");
    const { manifest } = await drafted(scene, {
      chain: [
        ["path1/disk.qcow2", "qcow2", "../path3/base.raw"],
        ["path3/base.raw", "raw"],
      ],
    });
    assert.deepEqual([manifest.layers, manifest.destination.backing], [[], { name: scene.at("path3/base.raw"), format: "raw" }]);
  });

  it("leaves keepBase where it is, and refuses one that is not a layer, or the active image", async () => {
    const kept = await drafted(scene, { options: { keepBase: scene.at("path1/base.raw") } });
    assert.deepEqual([kept.manifest.layers, kept.manifest.destination.backing?.name], [[], scene.at("path1/base.raw")]);
    await assert.rejects(drafted(scene, { options: { keepBase: scene.at("path1/disk.qcow2") } }), isUser(/is its active image/));
    await scene.write("path1/other");
    for (const name of ["path1/other", "path1/none"])
      await assert.rejects(drafted(scene, { options: { keepBase: scene.at(name) } }), isUser(/is not a layer of its chain/));
  });

  for (const [name, becomes] of [
    ["base.raw", undefined],
    ["./base.raw", undefined],
    ["/elsewhere/base.raw", "absolute"],
    ["sub/base.raw", "relative"],
    ["json:{}", "relative"],
  ] as const)
    it(`renames what a header calls ${name} ${becomes ? `to the ${becomes} name` : "not at all"}`, async () => {
      await scene.write("path1/top.qcow2");
      const { manifest } = await drafted(scene, {
        chain: [
          ["path1/disk.qcow2", "qcow2", "top.qcow2"],
          ["path1/top.qcow2", "qcow2", name],
          ["path1/base.raw", "raw"],
        ],
      });
      const wanted = { absolute: scene.at("path2/base.raw"), relative: "base.raw" };
      assert.deepEqual(manifest.layers[0]?.rename, becomes && { name: wanted[becomes], format: "raw" });
    });

  it("gives a copied header the format of the layer below where it names none, or another", async () => {
    await scene.write("path1/top.qcow2");
    const rename = { name: "base.raw", format: "raw" };
    const files = ["path1/disk.qcow2", "path1/top.qcow2"].map((name) => [name, "qcow2"] as const);
    for (const backingFormat of [undefined, "qcow2"]) {
      const image = scene.image([...files, ["path1/base.raw", "raw"]]);
      const [top, middle, ...below] = image.chain;
      assert(middle);
      const named = { ...middle, backingName: "base.raw", ...(backingFormat !== undefined && { backingFormat }) };
      const disk = scene.disk({ image: { ...image, chain: [{ ...top, backingName: "top.qcow2" }, named, ...below] } });
      const { manifest } = await draftMove(scene.site().site, emptyView, disk, new Date());
      assert.deepEqual(manifest.layers[0]?.rename, rename);
    }
  });

  it("is refused where a layer is not there, or is another file than QEMU has open", async () => {
    const process = await scene.process("path1/disk.qcow2");
    await assert.rejects(
      drafted(scene, { answers: { process: () => process } }),
      isUser(/base\.raw is another file than the one that QEMU has open/),
    );
    await scene.take("path1/base.raw");
    await assert.rejects(drafted(scene), isUser(/its layer .*base\.raw is open in QEMU, but there is no such file for us/));
  });

  it("records a link as it leads, and one that leads to the destination by that name", async () => {
    await symlink("path1", scene.at("link"));
    await symlink(scene.at("path2"), scene.at("home"));
    const link = async (name: string) => (await drafted(scene, { options: { link: scene.at(name) } })).manifest.link;
    assert.deepEqual(await link("link"), { path: scene.at("link"), before: "path1" });
    assert.deepEqual(await link("home"), { path: scene.at("home"), before: scene.at("path2") });
    assert.equal(await link("none"), undefined);
  });
});

describe("a freeze", () => {
  const current = async (scene: MoveScene) => JSON.parse(await readFile(scene.at(`path1/${fileNames.manifest(key)}`), "utf8"));
  const seenOf = (scene: MoveScene) => ({
    view: { ...emptyView, nodes: [{ name: "vda-old", driver: "qcow2", file: scene.at("path1/disk.qcow2") }] },
    disks: [],
  });
  const qcow2 = (scene: MoveScene) => ({ image: { ...scene.image(), creation: { format: "qcow2", options: {} } } });

  it("makes an empty overlay, names it as current before it is there, and freezes all at once", async () => {
    await using scene = await MoveScene.open();
    const manifest = await scene.frozen("commit", { current: scene.at("path1/disk.qcow2") });
    const before = await scene.which(`path1/${overlayName}`);
    const currents: string[] = [];
    const { site, asked } = scene.site({
      openOverlay: async () => void currents.push((await current(scene)).current),
      snapshot: async () => void currents.push((await current(scene)).current),
    });
    await freeze(site, seenOf(scene), [scene.written(manifest, qcow2(scene))]);
    const overlay = scene.at(`path1/${overlayName}`);
    assert.deepEqual(currents, [overlay, overlay]);
    assert.notDeepEqual(await scene.which(`path1/${overlayName}`), before);
    const said = await current(scene);
    assert.deepEqual(
      [said.written, said.overlay.made.ino],
      [{ node: "vda-old", image: "former" }, (await scene.which(`path1/${overlayName}`)).ino],
    );
    assert.deepEqual(
      asked.map((line) => line.split(" ")[0]),
      ["closeNodes", "openOverlay", "process", "snapshot"],
    );
  });

  it("that QEMU refuses leaves the former image current, and tells where the guest runs", async () => {
    await using scene = await MoveScene.open();
    const manifest = await scene.frozen("commit");
    const look = () => ({ ...emptyView, disks: [{ qdev: "vda", names: ["vda"], medium: { kind: "image", ...scene.image() } }] });
    const { site } = scene.site({ look, snapshot: () => Promise.reject(new UserError("node in use")) });
    await assert.rejects(
      freeze(site, seenOf(scene), [scene.written(manifest, qcow2(scene))]),
      isUser(/Unable to freeze vda .*node in use\. The guest runs on \S*path1\/disk\.qcow2, which is current/),
    );
    assert.equal((await current(scene)).current, scene.at("path1/disk.qcow2"));
  });

  it("that QEMU refuses of a disk that is not to be seen leaves the overlay current, which is empty", async () => {
    await using scene = await MoveScene.open();
    const { site } = scene.site({ snapshot: () => Promise.reject(new UserError("node in use")) });
    const disk = scene.written(await scene.frozen("commit"), qcow2(scene));
    await assert.rejects(freeze(site, seenOf(scene), [disk]), isUser(/node in use\. Not all disks are seen on their former images\. Run/));
    assert.equal((await current(scene)).current, scene.at(`path1/${overlayName}`));
  });

  it("that is refused by a QEMU that runs on the overlay by another name leaves the overlay current", async () => {
    await using scene = await MoveScene.open();
    await symlink(scene.at("path1"), scene.at("link"));
    const medium = { kind: "image", ...scene.image([[`link/${overlayName}`, "qcow2"]]) };
    const look = () => ({ ...emptyView, disks: [{ qdev: "vda", names: ["vda"], medium }] });
    const { site } = scene.site({ look, openOverlay: () => Promise.reject(new UserError("it is locked")) });
    const disk = scene.written(await scene.frozen("commit"), qcow2(scene));
    await assert.rejects(freeze(site, seenOf(scene), [disk]), isUser(/it is locked\. Not all disks are seen on their former images\. Run/));
    assert.equal((await current(scene)).current, scene.at(`path1/${overlayName}`));
  });

  describe("that is refused of a guest which somebody has put on an overlay of theirs", () => {
    const chains: [what: string, below: string[], current: string][] = [
      ["that stands on ours leaves ours current", [overlayName, "disk.qcow2"], overlayName],
      ["that stands on the former image makes that current", ["disk.qcow2"], "disk.qcow2"],
      ["that stands on something which is not to be seen leaves ours current", ["gone.qcow2"], overlayName],
    ];
    for (const [what, below, expected] of chains)
      it(what, async () => {
        await using scene = await MoveScene.open();
        await scene.write("path1/theirs.qcow2");
        const layers = ["theirs.qcow2", ...below].map((name): [string, string] => [`path1/${name}`, "qcow2"]);
        const medium = { kind: "image", ...scene.image(layers) };
        const look = () => ({ ...emptyView, disks: [{ qdev: "vda", names: ["vda"], medium }] });
        const { site } = scene.site({ look, snapshot: () => Promise.reject(new UserError("no answer")) });
        const disk = scene.written(await scene.frozen("commit"), qcow2(scene));
        await assert.rejects(
          freeze(site, seenOf(scene), [disk]),
          isUser(/no answer\. Not all disks are seen on their former images\. Run/),
        );
        assert.equal((await current(scene)).current, scene.at(`path1/${expected}`));
      });
  });

  it("in whose middle the guest ended tells that, and takes nothing back", async () => {
    await using scene = await MoveScene.open();
    const ended = () => Promise.reject(new GuestNotRunning("It does not run."));
    const { site } = scene.site({ look: ended, openOverlay: ended });
    const disk = scene.written(await scene.frozen("commit"), qcow2(scene));
    await assert.rejects(freeze(site, seenOf(scene), [disk]), (thrown) => thrown instanceof GuestNotRunning);
    assert.equal((await current(scene)).current, scene.at(`path1/${overlayName}`));
  });

  it("of which no answer came leaves the overlay current", async () => {
    await using scene = await MoveScene.open();
    const { site } = scene.site({ snapshot: () => Promise.reject(new Error("cut")) });
    await assert.rejects(freeze(site, seenOf(scene), [scene.written(await scene.frozen("commit"), qcow2(scene))]), /cut/);
    assert.equal((await current(scene)).current, scene.at(`path1/${overlayName}`));
    assert(existsSync(scene.at(`path1/${overlayName}`)));
  });

  it("is followed by the frozen image's record as the first layer, with the name that its copy's header gets", async () => {
    await using scene = await MoveScene.open();
    const whole = await scene.frozen("commit", {}, { landingBacking: { name: "base.raw", format: "raw" } });
    const manifest = { ...whole, layers: whole.layers.slice(1) };
    const image = scene.image([
      [`path1/${overlayName}`, "qcow2"],
      ["path1/disk.qcow2", "qcow2"],
      ["path1/base.raw", "raw"],
    ]);
    await recordFrozen(scene.site().site, scene.written(manifest, { image }));
    const { layers } = await current(scene);
    assert.deepEqual(
      [layers.length, layers[0].source, layers[0].destination, layers[0].rename],
      [2, scene.at("path1/disk.qcow2"), scene.at("path2/disk.qcow2"), { name: "base.raw", format: "raw" }],
    );
    assert.deepEqual(layers[0].identity, await scene.identity("path1/disk.qcow2"));
    await scene.take("path1/disk.qcow2");
    await assert.rejects(recordFrozen(scene.site().site, scene.written(manifest, { image })), isUser(/its frozen image .* is not there/));
  });
});
