/** What a program may ask of the engine for our resources: each by the real program runner and the real provider process. */

import assert from "node:assert/strict";
import path from "node:path";
import type { Properties } from "../../provider/core/lifecycle.js";
import { isSecret } from "../engine/values.js";
import { oneLayer } from "../sandbox/disks.js";
import { Stage } from "../storage-migration/stage.js";
import { changesOf, type Declared, DeclaredStack, placeOf, plansIn, stored } from "./declared.js";

describe("what a program asks for a disk", function () {
  this.timeout(240_000);
  let stage: Stage;
  beforeEach(async () => {
    const ids = ["vda", "vdb"];
    const disks = (at: Stage["at"]) => ids.map((id) => ({ id, storage: at("path1"), layers: oneLayer(`${id}.qcow2`), virtualMiB: 256 }));
    stage = await Stage.open({ sandboxName: "options", disks });
  });
  afterEach(() => stage?.[Symbol.asyncDispose]());

  const stack = (name: string) => new DeclaredStack(stage.sandbox, name);
  const place = () => placeOf(stage.sandbox, stage.guest);
  const migration = (destination: string, more: Partial<Declared> = {}): Declared => ({
    ...{ kind: "StorageMigration", name: "web", args: { ...place(), disks: ["vda"], destination } },
    ...more,
  });
  const adopted = (disk: string, more: Partial<Declared> = {}): Declared => ({
    ...{ kind: "DomainDisk", name: "web", args: { ...place(), disk } },
    ...more,
  });
  /** In which storage the disk is. */
  const storageOf = async (disk: string) => path.basename(path.dirname(await stage.operator.activeImage(disk)));

  /** Both disks of the guest have every write that it was told is safe. */
  async function holdAll(): Promise<void> {
    await stage.guest.waitForRecords(5);
    const images = [await stage.operator.activeImage("vda"), await stage.operator.activeImage("vdb")];
    await stage.guest.stop();
    await stage.holdsAll(images[0] ?? "", "vda");
    await stage.holdsAll(images[1] ?? "", "vdb");
  }

  it("signs in with an explicit provider's key, which is kept as a secret, and nothing else", async () => {
    const { identityFile: _, ...host } = stage.sandbox.host;
    const args: Properties = { host, domain: { qmp: stage.guest.qmpSocket }, disk: "vda" };
    const lab: Declared = {
      kind: "Provider",
      name: "lab",
      args: { privateKey: "!key", passwordFor: ["db-3.example.org"], movesPerHost: 3 },
    };
    const disk: Declared = { kind: "DomainDisk", name: "web", args, provider: "lab" };
    const up = await stack("explicit").must("up", [lab, disk]);
    const provider = up.state.deployment.resources.find(({ urn }) => urn.endsWith("::lab"));
    assert.ok(isSecret(provider?.inputs["livedisk:privateKey"]));
    assert.equal(provider?.inputs["livedisk:passwordFor"], '["db-3.example.org"]');
    assert.equal(provider?.inputs["livedisk:movesPerHost"], "3");
    assert.match(stored(up, "web")?.provider ?? "", /::lab::/);
    assert.ok(!JSON.stringify(stored(up, "web")).includes("PRIVATE KEY") && !up.output.includes("PRIVATE KEY"));
    const { provider: __, ...alone } = disk;
    const without = await stack("implicit").run("up", [alone]);
    assert.match(without.output, /Unable to sign in to/);
    await stack("explicit").must("destroy", [lab, disk]);
    await holdAll();
  });

  it("only reads what it gets, also in a preview; and a get whose arguments name no disk fails in words", async () => {
    const get = adopted("vda", { get: "any" });
    const preview = await stack("get").must("preview", [get]);
    assert.deepEqual(changesOf(preview.changes), []);
    const up = await stack("get").must("up", [get]);
    assert.deepEqual(up.outputs.made, { web: stage.at("path1/vda.qcow2") });
    const wrong = await stack("get").run("preview", [adopted("vda", { get: "any", args: { ...place(), disk: "" } })]);
    assert.match(wrong.output, /Unable to tell which disk is meant: disk is empty: name the device's id/);
    assert.doesNotMatch(wrong.output, /\n\s+at |ZodError/);
    await stack("get").must("destroy", []);
    await holdAll();
  });

  it("ignores changes that it is told to ignore", async () => {
    const told = { options: { ignoreChanges: ["destination"] } };
    await stack("ignoring").must("up", [migration(stage.at("path1"), told)]);
    const up = await stack("ignoring").must("up", [migration(stage.at("path2"), told)], { expectNoChanges: true });
    assert.deepEqual([changesOf(up.changes), plansIn(up), await storageOf("vda")], [[], [], "path1"]);
    await stack("ignoring").must("destroy", []);
    await holdAll();
  });

  it("keeps what is protected: destroy is refused, and the mirror goes on", async () => {
    const disks = [{ disk: "vdb", file: stage.at("path1/vdb.overlay"), mirror: stage.at("path2/vdb.new") }];
    const snapshot = (options: Properties, onDelete = "abort"): Declared => ({
      ...{ kind: "MirroredSnapshot", name: "web", args: { ...place(), disks, onDelete }, options },
    });
    const jobs = async () => ((await stage.operator.execute("query-jobs")) as unknown[]).length;
    await stack("kept").must("up", [snapshot({ protect: true })]);
    const refused = await stack("kept").run("destroy", []);
    assert.ok(!refused.ok && /protect/.test(refused.output), refused.output);
    assert.equal(await jobs(), 1);

    await stack("kept").must("up", [snapshot({ protect: false, retainOnDelete: true })]);
    const retained = await stack("kept").must("destroy", []);
    assert.deepEqual(stored(retained, "web"), undefined);
    assert.equal(await jobs(), 1);

    // whoever declares it again finds it as it is
    const found = await stack("kept").must("up", [snapshot({})]);
    assert.deepEqual(changesOf(found.changes), [["web", "create", []]]);
    await stack("kept").must("destroy", []);
    assert.deepEqual([await jobs(), await stage.operator.activeImage("vdb")], [0, stage.at("path1/vdb.overlay")]);
    await holdAll();
  });

  it("keeps outputs secret if it is told so", async () => {
    const secret = { options: { additionalSecretOutputs: ["chain"] } };
    const up = await stack("secret").must("up", [adopted("vda", secret)]);
    assert.ok(isSecret(stored(up, "web")?.outputs.chain));
    await stack("secret").must("preview", [adopted("vda", secret)], { expectNoChanges: true });
    await stack("secret").must("destroy", []);
    await holdAll();
  });

  it("renames a resource by an alias, and nothing is done", async () => {
    await stack("renamed").must("up", [adopted("vda")]);
    const renamed = adopted("vda", { name: "root", options: { aliases: [{ name: "web" }] } });
    const up = await stack("renamed").must("up", [renamed], { expectNoChanges: true });
    assert.ok(stored(up, "root") && !stored(up, "web"));
    await stack("renamed").must("destroy", []);
    await holdAll();
  });

  for (const [order, options] of [
    ["new one first", {}],
    ["old one first", { deleteBeforeReplace: true }],
  ] as const) {
    it(`replaces a resource by one of another disk, the ${order}, and touches neither`, async () => {
      const before = [await stage.operator.activeImage("vda"), await stage.operator.activeImage("vdb")];
      await stack("replaced").must("up", [adopted("vda", { options })]);
      const preview = await stack("replaced").must("preview", [adopted("vdb", { options })]);
      assert.deepEqual(changesOf(preview.changes).at(-1), ["web", "replace", ["disk"]]);
      const up = await stack("replaced").must("up", [adopted("vdb", { options })]);
      assert.deepEqual(stored(up, "web")?.outputs.bootPath, before[1]);
      await stack("replaced").must("destroy", []);
      assert.deepEqual([await stage.operator.activeImage("vda"), await stage.operator.activeImage("vdb")], before);
      await holdAll();
    });
  }

  it("takes a host and a destination that only the update will tell: previewed as unknown, nothing replaced", async () => {
    const echo = (name: string, value: unknown): Declared => ({ kind: "Echo", name, args: { value } });
    const program = (destination: string, port = stage.sandbox.host.port) => [
      echo("address", "127.0.0.1"),
      echo("place", destination),
      migration("=place.said", {
        args: { ...place(), host: { ...stage.sandbox.host, port, address: "=address.said" }, disks: ["vda"], destination: "=place.said" },
      }),
    ];
    const ours = (changes: ReturnType<typeof changesOf>) => changes.filter(([name]) => name === "web");
    const first = await stack("unknown").must("preview", program(stage.at("path1")));
    assert.deepEqual(ours(changesOf(first.changes)), [["web", "create", []]]);
    await stack("unknown").must("up", program(stage.at("path1")));
    const preview = await stack("unknown").must("preview", program(stage.at("path2")));
    assert.deepEqual([ours(changesOf(preview.changes)), plansIn(preview)], [[["web", "update", ["destination"]]], []]);
    assert.equal(await storageOf("vda"), "path1");
    const up = await stack("unknown").must("up", program(stage.at("path2")));
    assert.deepEqual([ours(changesOf(up.changes)), await storageOf("vda")], [[["web", "update", ["destination"]]], "path2"]);
    assert.equal(plansIn(up).length, 1);
    await stack("unknown").must("preview", program(stage.at("path2")), { expectNoChanges: true });
    await stack("unknown").must("destroy", []);
    await holdAll();
  });
});
