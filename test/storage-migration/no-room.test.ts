/** A disk whose own directory is full: the reason to move it, and no room for a lock or a manifest of the move. */

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { run } from "../sandbox/command.js";
import { mountSmall } from "../sandbox/file-systems.js";
import { makeFolder } from "../sandbox/folders.js";
import { Recorder, Stage, stopAt } from "./stage.js";

/** Its image has all its blocks, so that the guest writes on. */
const image = { file: "disk.raw", format: "raw", creationOptions: "preallocation=falloc" } as const;

describe("a disk whose own directory is full", function () {
  this.timeout(180_000);
  const undo: (() => Promise<unknown>)[] = [];
  let stage: Stage;
  let full = "";
  before(async function () {
    if (process.getuid?.() !== 0) this.skip(); // to mount
    const folder = await makeFolder("livedisk-full-");
    undo.push(folder.remove);
    full = path.join(folder.path, "full");
    const later = { defer: (work: () => unknown) => undo.push(async () => work()) };
    // ext4: these two are told apart, as on an ordinary host
    await mountSmall(later, full, { kind: "ext4", sizeMiB: 80 });
    await mountSmall(later, path.join(folder.path, "var"), { kind: "ext4", sizeMiB: 16 });
    stage = await Stage.open({ disks: () => [{ storage: full, virtualMiB: 64, layers: [image] }] });
    await run("sh", ["-c", 'cat /dev/zero >"$1" 2>&- || :', "sh", path.join(full, "ballast")]);
  });
  after(async () => {
    await stage?.[Symbol.asyncDispose]();
    for (const each of undo.reverse()) await each();
  });

  const state = () => path.join(path.dirname(full), "var/state");
  const different = () => ({ host: { ...stage.sandbox.host, stateDirectory: state() } });
  const kept = async (directory: string) => (await readdir(directory)).filter((name) => name.startsWith("lm-"));

  it("is begun with its manifest in the state directory, and a run that is cut leaves it there", async () => {
    await stage.guest.waitForRecords(5);
    await assert.rejects(stopAt("mirroring", stage, { ...different(), maxBytesPerSecond: 4 * 2 ** 20 }), Unfinished);
    assert.deepEqual(
      [await kept(full), await kept(state())].map((names) => names.map((name) => name.replace(/[0-9a-f]{8}/, "KEY"))),
      [[], ["lm-KEY.manifest.json"]],
    );
  });

  it("is refused to a run that looks in another state directory", async () => {
    const other = { host: { ...stage.sandbox.host, stateDirectory: stage.at("another") } };
    await assert.rejects(
      stage.moves(other),
      /its manifest .*path2\/lm-.*has its twin in .*state, and `host\.stateDirectory` is .*another\./,
    );
  });

  it("is moved by the next run, which leaves nothing in the state directory", async () => {
    const teller = new Recorder();
    const { vda } = await stage.moves(different(), teller);
    assert.equal(vda?.bootPath, stage.at("path2/disk.raw"));
    assert.deepEqual([await readdir(state()), await kept(stage.at("path2"))], [[], []]);
    await stage.guest.waitForRecords(10);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2/disk.raw"));
  });
});
