/** What a mirrored snapshot is refused for before the first byte, and the files that a user has made for it. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { fileNames } from "../../../provider/core/disk/names.js";
import { isKind } from "../../../provider/core/errors.js";
import { Unfinished } from "../../../provider/core/lifecycle.js";
import { end, make } from "../../../provider/flows/mirrored-snapshot/conduct.js";
import type { SnapshotSite } from "../../../provider/flows/mirrored-snapshot/site.js";
import { makeQcow2 } from "../model-guest.js";
import { keyOf, type ModelScene, modelScene } from "../model-scene.js";
import type { Answers } from "../move/noting-guest.js";

let here: ModelScene;

interface Given {
  answers?: Answers;
  options?: Record<string, unknown>;
  file?: string;
  mirror?: string;
  reuseExternal?: boolean;
}

function siteOf({ answers = {}, options = {}, file = "path1/file", mirror = "path2/mirror", reuseExternal = false }: Given): SnapshotSite {
  const disks = [{ disk: "vda", file: here.scene.at(file), mirror: here.scene.at(mirror), driver: "qcow2" }];
  return { ...here.site(answers, options), disks, reuseExternal };
}

async function refuses(given: Given, why: RegExp): Promise<void> {
  const files = [await here.files("path1"), await here.files("path2")];
  await assert.rejects(make(siteOf(given), {}), (thrown) => {
    assert(!(thrown instanceof Unfinished));
    return isKind(thrown, "user") && why.test(thrown.message) && /Nothing was touched/.test(thrown.message);
  });
  assert.deepEqual([await here.files("path1"), await here.files("path2")], files);
  assert.deepEqual(here.model.done, []);
}

/** The disk's image as a look shows it, but for this. */
function shown(more: object): Answers {
  const { look } = here.model.answers() as { look: () => { disks: { medium: object }[] } };
  return {
    look: () => {
      const view = look();
      return { ...view, disks: view.disks.map((disk) => ({ ...disk, medium: { ...disk.medium, ...more } })) };
    },
  };
}

describe("a mirrored snapshot is refused, with nothing touched,", () => {
  beforeEach(async () => {
    here = await modelScene();
  });
  afterEach(() => here.scene[Symbol.asyncDispose]());

  it("of a guest that libvirt manages", () => refuses({ answers: { graph: undefined } }, /libvirt manages the guest/));
  it("of a QEMU that lacks a command", () =>
    refuses({ answers: { missingFeatures: () => ["blockdev-reopen"] } }, /its QEMU lacks blockdev-reopen/));
  it("of a read-only disk", () => refuses({ answers: shown({ readOnly: true }) }, /it is read-only/));
  it("of a guest that migrates", () =>
    refuses({ answers: { blockers: () => [{ concerns: "guest", why: "it migrates", advice: "Wait." }] } }, /it migrates/));
  it("of a disk whose image QEMU has open under another file's name", async () => {
    const process = () => ({ pid: 1, workingDirectory: "/", openFiles: new Set<string>(), openPaths: [] });
    await refuses({ answers: { process } }, /is not the file that QEMU has open/);
  });
  it("to directories that are not there", async () => {
    await refuses({ mirror: "path3/mirror" }, /there is no directory .*path3/);
    await refuses({ file: "path3/file" }, /there is no directory .*path3/);
    await refuses({ mirror: "path1/disk.qcow2/mirror" }, /there is no directory .*disk\.qcow2/);
  });
  it("to one directory for both", () => refuses({ mirror: "path1/mirror" }, /mirror lies in the same directory as file/));
  it("to a mirror beside the active image", () =>
    refuses({ file: "path2/file", mirror: "path1/mirror" }, /mirror lies beside the active image/));
  it("to names that are taken", async () => {
    await here.scene.write("path1/file");
    await refuses({}, /path1\/file is there already, and not ours/);
    await here.scene.write("path2/mirror");
    await refuses({}, /path1\/file and .*path2\/mirror are there already/);
  });
});

describe("files that were made for a mirrored snapshot", () => {
  const backing = { name: "disk.qcow2", format: "qcow2" };
  const given = { reuseExternal: true };
  beforeEach(async () => {
    here = await modelScene();
    for (const name of ["path1/file", "path2/mirror"]) makeQcow2(here.scene.at(name), backing);
  });
  afterEach(() => here.scene[Symbol.asyncDispose]());

  /** In place of the one that is right. */
  const remade = async (name: string, below?: { name: string; format: string }, size?: string) => {
    await rm(here.scene.at(name));
    makeQcow2(here.scene.at(name), below, size);
  };

  it("are used as they are, and an abort leaves them", async () => {
    const files = async () => [await here.scene.which("path1/file"), await here.scene.which("path2/mirror")];
    const before = await files();
    await make(siteOf(given), {});
    assert.deepEqual(await files(), before);
    assert.deepEqual(here.model.chain("vda")[0], here.scene.at("path1/file"));
    await end(siteOf(given), "abort");
    assert.deepEqual(await files(), before);
    assert.match(here.scene.told.join("\n"), /path2\/mirror stays, since it was there before/);
  });

  it("are refused where one is not there, or is none", async () => {
    await here.scene.take("path2/mirror");
    await refuses(given, /there is no .*path2\/mirror, and reuseExternal says so/);
    execFileSync("mkdir", [here.scene.at("path2/mirror")]);
    await refuses(given, /path2\/mirror is a directory and no file/);
  });

  for (const role of ["path1/file", "path2/mirror"])
    it(`are refused where ${role} is not as it must be`, async () => {
      await remade(role, backing, "2M");
      await refuses(given, new RegExp(`${role} has 2097152 bytes, and the disk 1048576`));
      await remade(role);
      await refuses(given, new RegExp(`${role} names no backing file, and shall stand on .*disk.qcow2`));
      await remade(role, { name: "disk.qcow2", format: "raw" });
      await refuses(given, new RegExp(`${role} names raw as the format of its backing file, and .*disk.qcow2 is qcow2`));
      await here.scene.write(role, "raw".padEnd(2 ** 20));
      await refuses(given, new RegExp(`${role} cannot be read as a qcow2 image \\(.*not in qcow2 format\\), and only a qcow2`));
      await remade(role, { name: "base.raw", format: "qcow2" });
      await refuses(given, new RegExp(`${role} names base.raw as its backing file`));
    });

  it("are refused where the mirror leads back to the active image, unless that is kept", async () => {
    const home = { name: here.scene.at("path1/disk.qcow2"), format: "qcow2" };
    await remade("path2/mirror", home);
    await refuses(given, /path2\/mirror names .*path1\/disk\.qcow2 as its backing file, which leads back to .* itself/);
    await make(siteOf({ ...given, options: { keepBase: here.scene.at("path1/disk.qcow2") } }), {});
  });

  it("are refused where one holds something, which would hide what lies below it", async () => {
    await here.copy("disk.qcow2", "base.raw");
    execFileSync("qemu-io", ["-f", "qcow2", "-c", "write 0 512", here.scene.at("path2/mirror")], { stdio: "ignore" });
    await refuses(given, /path2\/mirror is not empty: it would hide what lies below it/);
  });

  it("are refused where another has taken the name of one after the snapshot was begun", async () => {
    await assert.rejects(make(siteOf({ ...given, answers: { probe: () => Promise.reject(new Error("cut")) } }), {}), /cut/);
    await here.scene.take("path2/mirror");
    makeQcow2(here.scene.at("path2/mirror"), backing);
    await assert.rejects(make(siteOf(given), {}), /path2\/mirror is not the file that the snapshot was begun with/);
  });
});

describe("a file of a mirrored snapshot that another one has replaced, with its inode", () => {
  beforeEach(async () => {
    here = await modelScene();
  });
  afterEach(() => here.scene[Symbol.asyncDispose]());

  /** As if the mirror's file had been another one of that inode when it was written down. */
  const replaced = async () => {
    for (const side of ["path1", "path2"]) {
      const file = here.scene.at(`${side}/${fileNames.manifest(keyOf("vda"))}`);
      const manifest = JSON.parse(await readFile(file, "utf8"));
      Object.assign(manifest.mirror.is.identity, { handle: "1:other", birthNs: "1" });
      await writeFile(file, JSON.stringify(manifest));
    }
  };

  it("stays when the snapshot is aborted, which says so", async () => {
    await make(siteOf({}), {});
    await replaced();
    await end(siteOf({}), "abort");
    assert((await here.files("path2")).includes("mirror"));
    assert.match(here.scene.told.join("\n"), /path2\/mirror stays, since it is not the file that this snapshot made there/);
  });

  it("is not mirrored onto once the mirror was lost", async () => {
    await make(siteOf({}), {});
    await replaced();
    here.model.restart({ vda: here.scene.at("path1/file") });
    await assert.rejects(make(siteOf({}), {}), /path2\/mirror is not the file that the snapshot was begun with/);
  });
});
