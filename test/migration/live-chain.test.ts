/** On which files a move expects the guest, and what is told of a chain that is another one. */

import assert from "node:assert/strict";
import { mkdir, rename, stat, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { diskKey, fileNames, nodeNames, quarantineName } from "../../provider/core/disk/names.js";
import { type Evidence, filesNow, standingOf } from "../../provider/flows/move/look/standing.js";
import { expectedChain, layersAbove, liveChain } from "../../provider/flows/shared/live-chain.js";
import type { GuestProcess, ImageView } from "../../provider/hypervisor/hypervisor.js";
import type { Manifest } from "../../provider/journal/manifest.js";
import { LocalHost } from "../hypervisor/qemu/local-host.js";
import { makeFolder } from "../sandbox/folders.js";

const key = diskKey("domain", "vda");
const host = new LocalHost();

/** Two folders with files of one byte, and what a move from the one to the other has written down. */
class Scene {
  readonly #ids = new Map<string, { dev: string; ino: string }>();
  private constructor(readonly folder: string) {}

  static async open(): Promise<Scene> {
    const { path: folder, remove } = await makeFolder("livedisk-chain-");
    removals.push(remove);
    const scene = new Scene(folder);
    for (const part of ["path1", "path2"]) await mkdir(scene.at(part));
    for (const name of ["path1/old", "path1/base", "path2/old", "path2/base", "path1/theirs"]) await scene.make(name);
    return scene;
  }

  at(name: string): string {
    return path.join(this.folder, name);
  }

  async make(name: string): Promise<void> {
    await writeFile(this.at(name), "x");
    const { dev, ino } = await stat(this.at(name));
    this.#ids.set(name, { dev: String(dev), ino: String(ino) });
  }

  id(name: string): { dev: string; ino: string } {
    const id = this.#ids.get(name);
    assert(id, name);
    return id;
  }

  /** As QEMU has them open. */
  process(...names: string[]): GuestProcess {
    return {
      pid: 1,
      workingDirectory: "/",
      openFiles: new Set(names.map((name) => `${this.id(name).dev}:${this.id(name).ino}`)),
      openPaths: [],
    };
  }

  manifest(more: Partial<Manifest> = {}): Manifest {
    const layer = (name: string, format: string) => ({ path: this.at(name), format, ...this.id(name) });
    return {
      ...{ version: 1, domainId: "domain", qdev: "vda", disk: "vda", strategy: "mirror", startedAt: "x", afterwards: "quarantine" },
      source: { active: this.at("path1/old"), ...this.id("path1/old") },
      chain: [layer("path1/old", "qcow2"), layer("path1/base", "raw")],
      destination: {
        ...{ directory: this.at("path2"), active: this.at("path2/old"), target: this.at("path2/old"), node: nodeNames.targets(key)[0] },
        file: this.id("path2/old"),
      },
      layers: [
        {
          ...{ source: this.at("path1/base"), destination: this.at("path2/base"), format: "raw", coming: "copy" },
          identity: { ...this.id("path1/base"), sizeBytes: 1, modified: "1" },
        },
      ],
      quarantine: this.at(`path1/${quarantineName("old", key, new Date(0))}`),
      formerNodes: [],
      current: this.at("path1/old"),
      ...more,
    };
  }

  /** What stands above the expected chain, where the guest runs on these. */
  async above(chain: readonly [string, string][], manifest: Manifest, process?: GuestProcess): Promise<number | undefined> {
    const layers = chain.map(([name, format]) => ({ path: this.at(name), format, virtualBytes: 1, allocatedBytes: 1 }));
    const live = await liveChain(host, { chain: layers } as unknown as ImageView, process);
    return layersAbove(host, live, expectedChain(manifest, "former"));
  }

  /** Which image a guest is on whose active node has this name, and which QEMU calls so. */
  /** @param beside nodes that are open, but not the active one */
  async standing(node: string, named: string, manifest: Manifest, process: GuestProcess, ...beside: string[]): Promise<string> {
    const nodes = [node, manifest.destination.node, ...beside].map((name) => ({ name, driver: "qcow2", file: "" }));
    const evidence = {
      site: { host },
      view: { nodes },
      image: { activeNode: node },
      process: async () => process,
      named,
      records: { manifest },
    };
    const whole = evidence as unknown as Evidence; // nothing else of it is read here
    return standingOf(whole, await filesNow(whole));
  }
}

const removals: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const remove of removals.splice(0)) await remove();
});

const old: [string, string] = ["path1/old", "qcow2"];
const base: [string, string] = ["path1/base", "raw"];

describe("the chain on which a move expects the guest", () => {
  it("is the one that was written down, to its end", async () => {
    const scene = await Scene.open();
    const manifest = scene.manifest();
    assert.equal(await scene.above([old, base], manifest, scene.process("path1/old", "path1/base")), 0);
    assert.equal(await scene.above([["path1/theirs", "qcow2"], old, base], manifest), 1);
    assert.equal(await scene.above([old], manifest), undefined);
    assert.equal(await scene.above([old, base, ["path1/theirs", "raw"]], manifest), undefined);
  });

  it("is compared by formats, and by the files that QEMU has open", async () => {
    const scene = await Scene.open();
    const manifest = scene.manifest();
    assert.equal(await scene.above([old, ["path1/base", "qcow2"]], manifest), undefined);
    assert.equal(await scene.above([old, base], manifest, scene.process("path1/old")), undefined);
    await rename(scene.at("path1/base"), scene.at("path1/base.before"));
    await writeFile(scene.at("path1/base"), "y");
    assert.equal(await scene.above([old, base], manifest), undefined);
  });

  it("is known by its quarantine name where QEMU still calls it as before the switch", async () => {
    const scene = await Scene.open();
    const manifest = scene.manifest();
    await rename(manifest.source.active, manifest.quarantine);
    assert.equal(await scene.above([old, base], manifest, scene.process("path1/old", "path1/base")), 0);
    assert.equal(await scene.above([old, base], manifest, scene.process("path1/base")), undefined);
  });

  it("of a manifest without one is known as far as that tells", async () => {
    const scene = await Scene.open();
    const { chain: _, ...manifest } = scene.manifest();
    assert.equal(await scene.above([old, base, ["path1/theirs", "raw"]], manifest), 0);
    assert.equal(await scene.above([old, ["path1/theirs", "raw"]], manifest), undefined);
  });

  it("at the destination has the moved layers, then those that stay", async () => {
    const scene = await Scene.open();
    const manifest = scene.manifest({ layers: [] });
    const paths = expectedChain(manifest, "target").layers.map((layer) => path.relative(scene.folder, layer.path));
    assert.deepEqual(paths, ["path2/old", "path1/base"]);
    const overlay = {
      ...{ collapse: "commit" as const, path: scene.at(`path1/${fileNames.overlay(key)}`), node: nodeNames.overlay(key) },
      ...{ landing: scene.at("path2/old"), landingNode: nodeNames.landings(key)[0] },
    };
    const frozen = scene
      .manifest()
      .layers.map((layer) => ({ ...layer, source: scene.at("path1/old"), destination: scene.at("path2/old") }));
    const snapshot = { ...scene.manifest({ overlay }), layers: [...frozen, ...scene.manifest().layers] };
    for (const [image, expected] of [
      ["overlay", [path.basename(overlay.path), "old", "base"]],
      ["landing", ["old", "base"]],
    ] as const)
      assert.deepEqual(
        expectedChain(snapshot, image).layers.map((layer) => path.basename(layer.path)),
        expected,
      );
  });
});

describe("the image that takes the guest's writes, in a QEMU that has our nodes open", () => {
  const written = { node: "vda-old", image: "former" } as const;

  it("is the one whose node was written down, and no other node's as long as that is open", async () => {
    const scene = await Scene.open();
    const manifest = scene.manifest({ written });
    const process = scene.process("path1/old", "path1/theirs", "path2/old");
    assert.equal(await scene.standing("vda-old", scene.at("path1/old"), manifest, process), "former");
    assert.equal(await scene.standing("theirs", scene.at("path1/theirs"), manifest, process, "vda-old"), "elsewhere");
    assert.equal(await scene.standing("theirs", scene.at("path1/old"), manifest, process, "vda-old"), "elsewhere");
  });

  it("is told by the file where the node that was written down is gone: the disk was given to the guest again", async () => {
    const scene = await Scene.open();
    const manifest = scene.manifest({ written });
    const process = scene.process("path1/old", "path1/theirs", "path2/old");
    assert.equal(await scene.standing("again", scene.at("path1/old"), manifest, process), "former");
    assert.equal(await scene.standing("theirs", scene.at("path1/theirs"), manifest, process), "elsewhere");
  });

  it("is found by the file where a manifest of 0.1.0 names no node", async () => {
    const scene = await Scene.open();
    const process = scene.process("path1/old", "path1/theirs", "path2/old");
    assert.equal(await scene.standing("vda-old", scene.at("path1/old"), scene.manifest(), process), "former");
    assert.equal(await scene.standing("theirs", scene.at("path1/theirs"), scene.manifest(), process), "elsewhere");
  });

  it("is the former one still, although a switch that was cut has renamed it and re-pointed the link to it", async () => {
    const scene = await Scene.open();
    await symlink(scene.at("path2"), scene.at("link"));
    const manifest = scene.manifest({ link: { path: scene.at("link"), before: scene.at("path1") } });
    await rename(manifest.source.active, manifest.quarantine);
    const process = scene.process("path1/old", "path2/old");
    assert.equal(await scene.standing("vda-old", scene.at("path1/old"), manifest, process), "former");
    assert.equal(await scene.standing("vda-old", scene.at("link/old"), manifest, process), "former");
    assert.equal(await scene.standing("vda-old", scene.at("path1/old"), manifest, scene.process("path2/old")), "elsewhere");
    await scene.make("path1/old"); // somebody else's, by the name that came free
    assert.equal(await scene.standing("theirs", scene.at("path1/old"), manifest, process), "elsewhere");
  });
});
