/** What a preview makes of arguments in which, deep down, another resource's outputs stand. It reaches no host. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { ResourceState } from "./deployment.js";
import { type Engine, type OperationResult, openEngine } from "./engine.js";

const onlyMachine = { env: { ADDRESS: "db-3" } };
const all = (ADDRESS: string) => ({ env: { ADDRESS, ALL: "yes" } });

/** @param project the folder of test/examples/program, or of a copy of it with another SDK */
export function nestedOutputs(project: () => string): void {
  const engine = onEngine(project);

  it("previews what stands on the outputs of a machine that is not there yet", async () => {
    const preview = await engine().preview(all("db-3"));
    assert.ok(preview.ok, preview.output);
    assert.deepEqual(ops(preview), { vm: "create", disk: "create", move: "create", snapshot: "create" });
  });

  it("refuses a nested value as soon as it is known, by its place", async () => {
    const early = await engine().preview(all("root@db-3"));
    assert.ok(early.ok, early.output);
    assert.ok((await engine().up({ env: { ADDRESS: "root@db-3" } })).ok);
    const preview = await engine().preview(all("root@db-3"));
    assert.ok(!preview.ok);
    assert.match(preview.output, /host\.address is a bare name or IP address/);
  });

  comparesNestedOutputs(project);
}

/** Known and not known, made and found there: the shortest way to all of it. */
export function comparesNestedOutputs(project: () => string): void {
  const engine = onEngine(project);

  it("compares what is there with nested outputs that are known, and replaces nothing for one that is not", async () => {
    const { state, output } = await engine().up(onlyMachine);
    const { resources } = state.deployment;
    const vm = resources.find(({ urn }) => urn.endsWith("::vm"));
    assert(vm, output);
    const withState = async (...found: ResourceState[]) => {
      await engine().importState({ ...state, deployment: { ...state.deployment, resources: found } });
      const preview = await engine().preview(all("db-3"));
      assert.ok(preview.ok, preview.output);
      return ops(preview);
    };
    const known = await withState(...resources, moveOn(vm));
    assert.deepEqual(known, { vm: "same", disk: "create", move: "same", snapshot: "create" });
    const gone = resources.filter((one) => one !== vm);
    const unknown = await withState(...gone, { ...moveOn(vm), dependencies: [] });
    assert.deepEqual(unknown, { vm: "create", disk: "create", move: "update", snapshot: "create" });
  });
}

/** Each test of the block has an engine of its own. */
function onEngine(project: () => string): () => Engine {
  let folder = "";
  let engine: Engine;
  beforeEach(async () => {
    folder = mkdtempSync(path.join(tmpdir(), "livedisk-nested-"));
    engine = await openEngine({ project: project(), workFolder: folder });
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  return () => engine;
}

/** What is done with each of the program's resources. */
function ops({ changes }: OperationResult): Record<string, string> {
  const ours = changes.filter(({ name }) => ["vm", "disk", "move", "snapshot"].includes(name));
  return Object.fromEntries(ours.map(({ name, op }) => [name, op]));
}

/** The move as it would stand in the state. */
function moveOn(vm: ResourceState): ResourceState {
  const type = "pulumi-nodejs:dynamic/livedisk:StorageMigration";
  const urn = vm.urn.replace(/[^:]+::vm$/, "StorageMigration::move").replace("dynamic/program", "dynamic/livedisk");
  const jump = { address: "db-3", port: 22, user: "deploy" };
  const inputs = {
    __provider: 'exports.handler = () => require("pulumi-livedisk/dynamic").providerFor("StorageMigration")',
    __urn: urn,
    ...{ host: { address: "db-3", port: 22, user: "root", privilege: "user", jump }, domain: { qmp: "/run/vm/web.qmp" } },
    ...{ disks: ["vda"], destination: "/srv/fast", strategy: "mirror", maxBytesPerSecond: 0, copyMode: "background", verify: "none" },
    ...{ afterwards: "quarantine", loses: [], stallSeconds: 600, onDrift: "correct" },
  };
  const moves = { vda: { phase: "settled", bootPath: "/srv/fast/web.qcow2", chain: [] } };
  return { ...vm, urn, type, id: "web", inputs, outputs: { ...inputs, schemaVersion: 1, moves }, dependencies: [vm.urn] };
}
