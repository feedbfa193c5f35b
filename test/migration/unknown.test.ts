/** What a host does not tell of manifests, copies and layers is never taken for "there is none". */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, chown, mkdir, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { isKind } from "../../provider/core/errors.js";
import { moveJobs } from "../../provider/flows/move/jobs.js";
import { compareAdopted } from "../../provider/flows/move/steps/adopting.js";
import type { SeenDisk, Site } from "../../provider/flows/shared/site.js";
import type { Manifest } from "../../provider/journal/manifest.js";
import { manifestsIn, readManifestText } from "../../provider/journal/manifest-text.js";
import { pace } from "../../provider/reconciler/progress.js";
import { Layer } from "../../provider/storage/directory/layer.js";
import { layerStates } from "../../provider/storage/directory/sidecar.js";
import { localWorkerProcess, withWorkers } from "../host/worker/harness.js";
import { LocalHost } from "../hypervisor/qemu/local-host.js";
import { makeFolder } from "../sandbox/folders.js";
import { HandWorld } from "../world.js";

const key = "0a1b2c3d";
const says = (words: RegExp) => (thrown: unknown) => isKind(thrown, "user") && words.test(thrown.message);

describe("what is not known on a host", function () {
  withWorkers(this);
  let folder = "";
  let remove: () => Promise<unknown>;
  const at = (name: string) => path.join(folder, name);
  beforeEach(async () => {
    ({ path: folder, remove } = await makeFolder("livedisk-unknown-"));
    await chmod(folder, 0o755);
  });
  afterEach(() => remove());

  it("a directory that may not be read does not say that it has no manifests", async () => {
    await mkdir(at("closed"), { mode: 0o700 });
    const listing = manifestsIn(new LocalHost("nobody"), [at("closed")]);
    await assert.rejects(
      listing,
      says(/Unable to list the manifests in .*closed on here: .*Permission denied.*Nothing was touched\. Let the account read it/),
    );
    await assert.rejects(
      readManifestText(new LocalHost("nobody"), key, at("closed")),
      says(/Unable to read .* on here: Permission denied/),
    );
  });

  it("manifests are found in directories that are there, and none in one that is not", async () => {
    await writeFile(at(`lm-${key}.manifest.json`), "{}");
    assert.deepEqual(await manifestsIn(new LocalHost(), [at("absent"), folder, folder]), [at(`lm-${key}.manifest.json`)]);
    assert.deepEqual(await manifestsIn(new LocalHost(), [at("absent")]), []);
  });

  it("layers that the worker did not come to tell of are not absent", async () => {
    const { worker, child } = await localWorkerProcess();
    child.kill("SIGSTOP");
    const host = Object.assign(new LocalHost(), { worker: async () => worker });
    const states = layerStates(host, [at("a"), at("b")], key);
    child.kill("SIGKILL");
    await assert.rejects(states, (thrown) => isKind(thrown, "unreachable"));
  });

  it("a layer that the storage does not tell of is not one that is absent, or removed", async function () {
    if (process.getuid?.() !== 0) this.skip(); // root alone can ask as another account
    const layer = at("closed/base");
    await mkdir(at("closed"));
    await writeFile(layer, "x");
    await chown(at("closed"), 65534, 65534);
    const host = new LocalHost("nobody");
    const held = await Layer.lock(host, { destination: layer, stallSeconds: 10 }, "make");
    assert(held instanceof Layer);
    try {
      await chmod(at("closed"), 0o000);
      await assert.rejects(layerStates(host, [layer], key), says(/Unable to look at a layer on here \(Permission denied \(.*closed/));
      await assert.rejects(held.look(), { name: "WorkerError", message: /Permission denied/ });
      await assert.rejects(held.removeLayer({ phase: "finished", ino: "1", sizeBytes: 1, modified: "1" }), {
        name: "WorkerError",
        message: /Permission denied/,
      });
      await chmod(at("closed"), 0o700);
    } finally {
      await held.close();
    }
  });

  it("the free space beside a copy is told of the directory that it goes to, whatever becomes of the name", async () => {
    await mkdir(at("away"));
    const held = await Layer.lock(new LocalHost(), { destination: at("away/base"), stallSeconds: 10 }, "make");
    assert(held instanceof Layer);
    try {
      await rename(at("away"), at("unmounted"));
      assert((await held.freeBytes()) > 0);
    } finally {
      await held.close();
    }
  });

  it("an adopted layer that is not there any more is not taken as it is", async () => {
    for (const [name, below] of [
      ["top", "base"],
      ["copied", "gone"],
    ] as const)
      execFileSync("qemu-img", ["create", "-q", "-u", "-f", "qcow2", "-b", below, "-F", "qcow2", at(name), "1M"]);
    const layer = (name: string, destination: string) => ({
      source: at(name),
      destination: at(destination),
      format: "qcow2",
      coming: "adopt",
    });
    const layers = [layer("top", "copied"), layer("base", "gone")];
    const manifest = { layers, source: { active: at("active") } } as unknown as Manifest; // nothing else of it is read here
    const disk = { disk: "vda", key, active: { named: at("active") }, image: { chain: [] } } as unknown as SeenDisk;
    const guest = { name: "web", closeNodes: async () => [], hold: async () => {} };
    const site = { host: new LocalHost(), guest, options: {}, run: { progress: () => {} } } as unknown as Site;
    const comparing = compareAdopted(site, disk, { manifest });
    await assert.rejects(
      comparing,
      says(/Unable to move vda of web on here: .*copied already exists, and the header of .*gone\. Nothing was touched\. Take/),
    );
  });

  it("a job that waits for room, and does not tell how much is missing, goes on as soon as there is any", async () => {
    const job = { id: "lm", type: "mirror", status: "paused", ioStatus: "nospace" } as const;
    const manifest = { destination: { directory: folder }, current: "/a" };
    const disk = { disk: "vda", seen: { phase: "stalled", job }, manifest } as unknown as SeenDisk;
    const withRoom = (freeBytes: number) =>
      Object.assign(new LocalHost(), { worker: async () => ({ request: async () => ({ freeBytes }) }) });
    const resumed: string[] = [];
    const guest = { name: "web", resume: async (id: string) => void resumed.push(id), wakeUp: async () => {} };
    const run = { world: new HandWorld() };
    const jobsOf = (freeBytes: number) => moveJobs({ host: withRoom(freeBytes), guest, run } as unknown as Site); // the rest is not read here
    await assert.rejects(jobsOf(0).resumeOnce(disk), says(/is full: how much is still to be written is not known, 0 bytes are free/));
    await jobsOf(4096).resumeOnce(disk);
    assert.deepEqual(resumed, ["lm"]);
  });

  it("a job whose progress is not told has no percentage", () => {
    const told = pace("vda mirroring", new HandWorld());
    assert.equal(told(undefined, undefined), "vda mirroring, how far is not known");
    assert.equal(told(1, 4), "vda mirroring 25 %");
  });
});
