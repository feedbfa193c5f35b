/** Links that somebody planted at the destination, under each name that a move gives: never followed, never overwritten, what they lead to stays. */

import assert from "node:assert/strict";
import { lstat, mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { diskKey, fileNames } from "../../provider/core/disk/names.js";
import { isOurs } from "../../provider/core/errors.js";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { created, onOwnStage, Recorder, type Stage, stopAt } from "../storage-migration/stage.js";

const canary = "somebody's\n";

async function prepare(stage: Stage): Promise<void> {
  await mkdir(stage.at("victim"));
  await writeFile(stage.at("victim", "file"), canary);
}

describe("a link that was planted at the destination", function () {
  this.timeout(180_000);
  const stage = onOwnStage({ uuid: "6f9619ff-8b86-d011-b42d-00c04fc964ff" }, prepare);
  const key = diskKey("6f9619ff-8b86-d011-b42d-00c04fc964ff", "/machine/peripheral/vda/virtio-backend");
  const path2 = (name: string) => stage().at("path2", name);

  const names = {
    ...{ target: "old.qcow2", layer: "common.qcow2", sidecar: "common.qcow2.lm-layer", "new sidecar": "common.qcow2.lm-layer.new" },
    ...{ manifest: fileNames.manifest(key), lock: fileNames.lock(key), probe: fileNames.probe(key), newborn: fileNames.newborn(key) },
    ...{ "manifest's next form": `${fileNames.manifest(key)}.next`, "manifest's former form": `${fileNames.manifest(key)}.back` },
  };
  for (const [what, name] of Object.entries(names)) {
    for (const leadsTo of ["file", "nothing"]) {
      it(`as ${what}, to ${leadsTo}, harms nobody: the move is refused in words, or puts its own file there`, async () => {
        await symlink(stage().at("victim", leadsTo), path2(name));
        const run = new Recorder();
        // never to its end: what it gives back is looked at
        const thrown: unknown = await stopAtMirror(run).catch((reason: unknown) => reason);
        assert(thrown instanceof Unfinished || isOurs(thrown), thrown instanceof Error ? thrown.stack : String(thrown));
        assert.deepEqual(await readdir(stage().at("victim")), ["file"]);
        assert.equal(await readFile(stage().at("victim", "file"), "utf8"), canary);
        if (thrown instanceof Unfinished) await storageMigration.delete(thrown.id, thrown.outputs, new Recorder()).catch(() => {});
        if (await isLink(path2(name))) assert.equal(await readlink(path2(name)), stage().at("victim", leadsTo));
        await rm(path2(name), { force: true });
        if (thrown instanceof Unfinished) await storageMigration.delete(thrown.id, thrown.outputs, new Recorder());
        assert.deepEqual(await readdir(stage().at("path2")), []);
        assert.equal(await readFile(stage().at("victim", "file"), "utf8"), canary);
        await stage().guest.waitForRecords(2);
      });
    }
  }

  it("in place of a partial in the middle of the copy is not written through", async () => {
    const unfinished: unknown = await stopAt("copying 2", stage(), { maxBytesPerSecond: 12_000_000 }).catch((reason: unknown) => reason);
    assert(unfinished instanceof Unfinished, String(unfinished));
    const partial = (await readdir(stage().at("path2"))).find((name) => name.includes(".lm-partial-")) ?? assert.fail("no partial");
    await rm(path2(partial));
    await symlink(stage().at("victim", "file"), path2(partial));
    const { outputs } = await created(storageMigration, stage().arguments);
    assert.equal(await readFile(stage().at("victim", "file"), "utf8"), canary);
    assert.equal(await readlink(path2(partial)), stage().at("victim", "file"));
    assert((await lstat(path2("common.qcow2"))).isFile());
    assert.equal((outputs.moves as { vda: { phase: string } }).vda.phase, "settled");
    await stage().guest.stop();
    await stage().holdsAll(path2("old.qcow2"));
  });

  function stopAtMirror(run: Recorder): Promise<void> {
    const stop = { ...run, lines: run.lines, stop: run.stop, credentials: run.credentials, urn: "" };
    const progress = (text: string) => {
      run.progress(text);
      if (text.includes("mirroring")) run.ask();
    };
    return created(storageMigration, { ...stage().arguments, maxBytesPerSecond: 20_000_000 }, { ...stop, progress, say: () => {} }).then(
      () => {
        throw new Error("the move came to its end");
      },
    );
  }
});

function isLink(path: string): Promise<boolean> {
  return lstat(path).then(
    (found) => found.isSymbolicLink(),
    () => false,
  );
}
