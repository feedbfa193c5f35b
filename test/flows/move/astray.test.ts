/** A switch in which a disk does not go over although the switch is decided: its job failed at the very end. */

import assert from "node:assert/strict";
import { existsSync, readlinkSync } from "node:fs";
import { readFile, symlink } from "node:fs/promises";
import { fileNames } from "../../../provider/core/disk/names.js";
import { UserError } from "../../../provider/core/errors.js";
import { type Converged, converge, HalfWay } from "../../../provider/flows/move/converge.js";
import type { Host } from "../../../provider/host/host.js";
import { currentIn } from "../../sandbox/current.js";
import { keyOf, type ModelScene, modelScene } from "../model-scene.js";

let here: ModelScene;
const at = (name: string) => here.scene.at(name);
const link = () => ({ link: at("link") });
const move = (options: Record<string, unknown> = {}): Promise<Converged> => converge(here.site({}, options), here.disks, "arrive");

/** Each disk is where it is, its manifests name that, and nothing but these is at its name at the destination. */
async function stands(qdev: string, side: "path1" | "path2", name = `${qdev}.qcow2`): Promise<void> {
  // a name through the link is that of the command line, by which it was opened at the source
  assert.equal(here.model.chain(qdev)[0]?.split("/").slice(-2).join("/").replace(/^link/, "path1"), `${side}/${name}`);
  const texts = ["path1", "path2"].map((beside) => readFile(at(`${beside}/${fileNames.manifest(keyOf(qdev))}`), "utf8"));
  for (const text of await Promise.all(texts)) assert.equal(await currentIn(text), at(`${side}/${name}`));
  assert.equal(existsSync(at(`path2/${name}`)), side === "path2");
}

async function fails(words: RegExp, options: Record<string, unknown> = {}): Promise<void> {
  await assert.rejects(move(options), (thrown) => thrown instanceof HalfWay && words.test(thrown.message));
}

describe("a switch in which a disk does not go over", () => {
  beforeEach(async () => {
    here = await modelScene();
  });
  afterEach(() => here.scene[Symbol.asyncDispose]());

  const words = /Unable to switch vdb of .* its QEMU did not go over .* goes on writing to .*path1\/vdb\.qcow2, which is current/;

  it("though the other one does is told with where it is; a boot through the link finds no half of it, and the next run moves it", async () => {
    await symlink(at("path1"), at("link"));
    await here.plug("vdb");
    here.model.restart({ vda: at("link/disk.qcow2"), vdb: at("link/vdb.qcow2") });
    here.model.staysBehind = "vdb";
    await fails(words, link());
    await stands("vda", "path2", "disk.qcow2");
    await stands("vdb", "path1");
    assert.equal(readlinkSync(at("link")), at("path2"));
    await move(link());
    assert.deepEqual(
      here.disks.map((qdev) => here.model.chain(qdev)[0]),
      [at("path2/disk.qcow2"), at("path2/vdb.qcow2")],
    );
    assert.equal(readlinkSync(at("link")), at("path2"));
    assert.deepEqual(await here.files("path2"), ["base.raw", "disk.qcow2", "vdb.qcow2"]);
  });

  it("without a link is told with where it is, and the next run moves it", async () => {
    await here.plug("vdb");
    here.model.staysBehind = "vdb";
    await fails(words);
    await stands("vda", "path2", "disk.qcow2");
    await stands("vdb", "path1");
    await move();
    assert.deepEqual(await here.files("path2"), ["base.raw", "disk.qcow2", "vdb.qcow2"]);
    assert.deepEqual(
      (await here.files("path1")).filter((name) => name.startsWith("lm-")),
      [],
    );
  });

  it("sets its link back to the source", async () => {
    await symlink(at("path1"), at("link"));
    here.model.restart({ vda: at("link/disk.qcow2") });
    here.model.staysBehind = "vda";
    await fails(/its QEMU did not go over/, link());
    await stands("vda", "path1", "disk.qcow2");
    assert.equal(readlinkSync(at("link")), at("path1"));
    await move(link());
    assert.equal(readlinkSync(at("link")), at("path2"));
  });

  it("is found where the guest is by the manifests, and at the destination by nobody, if its link cannot be set back", async () => {
    await symlink(at("path1"), at("link"));
    here.model.restart({ vda: at("link/disk.qcow2") });
    here.model.staysBehind = "vda";
    const site = here.site({}, link());
    await assert.rejects(converge({ ...site, host: withoutLinks(site.host, at("link")) }, here.disks, "arrive"), /Read-only file system/);
    assert.equal(readlinkSync(at("link")), at("path2"));
    await stands("vda", "path1", "disk.qcow2");
    await move(link());
    assert.equal(here.model.chain("vda")[0], at("path2/disk.qcow2"));
  });
});

/** One whose link's file system has turned read-only by the time that somebody would set the link back. */
function withoutLinks(host: Host, path: string): Host {
  const worker: Host["worker"] = async () =>
    new Proxy(await host.worker(), {
      get: (real, name) => {
        const found: unknown = Reflect.get(real, name, real);
        if (typeof found !== "function") return found;
        return (...args: unknown[]) => {
          if (name === "request" && isAboutLink(args, path)) throw new UserError("Unable to make the link: Read-only file system.");
          return found.apply(real, args);
        };
      },
    });
  return Object.assign(Object.create(host), { worker });
}

function isAboutLink([operation, values]: unknown[], path: string): boolean {
  const { name } = operation as { name: string };
  return name === "link-write" && JSON.stringify(values).includes(`${JSON.stringify(path)}`);
}
