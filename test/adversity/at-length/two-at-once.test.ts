/** Two stacks, each by an engine of its own, want the same disks at the same time: one wins or both are told, and nothing is lost. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { type Engine, openEngine } from "../../engine/engine.js";
import { oneLayer } from "../../sandbox/disks.js";
import { onOwnStage, type Stage } from "../../storage-migration/stage.js";

/** Not compiled: found from the repository's root. */
const project = path.resolve(__dirname, "../../../../test/e2e/program");

interface Row {
  title: string;
  /** Which disks either wants, and whether at the same place. */
  one: string[];
  other: string[];
  place: "same" | "two";
  /** What the one shows before the other starts; undefined: they start together. */
  after?: RegExp;
}

const rows: Row[] = [
  { title: "the same disk at the same place", one: ["vda"], other: ["vda"], place: "same" },
  { title: "the same disk at two places, one a little later", one: ["vda"], other: ["vda"], place: "two", after: /StorageMigration/ },
  { title: "overlapping sets", one: ["vda", "vdb"], other: ["vdb", "vdc"], place: "two" },
  {
    title: "overlapping sets, the other way round and later",
    one: ["vdc", "vdb", "vda"],
    other: ["vda", "vdb"],
    place: "same",
    after: /copying/,
  },
];

describe("two stacks that want", function () {
  this.timeout(180_000);
  const stage = onOwnStage({
    disks: (at) => [
      { storage: at("path1") },
      { storage: at("path1"), id: "vdb", layers: oneLayer("b.qcow2") },
      { storage: at("path1"), id: "vdc", layers: oneLayer("c.qcow2") },
    ],
  });

  for (const { title, one, other, place, after } of rows) {
    it(`${title}: one wins or both are told, and nothing is lost`, async () => {
      const [here, there] = [stage().at("one"), stage().at(place === "same" ? "one" : "other")];
      for (const folder of [here, there]) await mkdir(folder, { recursive: true });
      const first = await engine(stage(), "one", { disks: one, destination: here });
      const second = await engine(stage(), "other", { disks: other, destination: there });
      const begun = Promise.withResolvers<void>();
      if (after === undefined) begun.resolve();
      const leading = first.up({ onProgress: (line) => after?.test(line) && begun.resolve() });
      void leading.finally(begun.resolve).catch(() => {});
      const ends = await Promise.all([leading, begun.promise.then(() => second.up())]);
      for (const { ok, output } of ends) if (!ok) assertTold(output);
      await stage().guest.waitForRecords(5);
      // whoever lost comes again, and is not in anybody's way any more
      const again = await first.up();
      assert(again.ok, again.output);
      for (const id of one) assert.equal(path.dirname(await stage().operator.activeImage(id)), here);
      const jobs = (await stage().operator.execute("query-jobs")) as unknown[];
      assert.deepEqual(jobs, []);
      await stage().guest.waitForRecords(5);
      const images = await Promise.all(stage().guest.disks.map(async ({ id }) => [id, await stage().operator.activeImage(id)] as const));
      await stage().guest.stop();
      for (const [id, image] of images) await stage().holdsAll(image, id);
    });
  }
});

/** The loser learns who is at it; nobody sees a trace, or a fault of ours. */
function assertTold(output: string): void {
  assert.match(
    output,
    /another run holds the lock|no greeting came within 2 s\. A monitor serves one client, so another one may hold it|already exists and is not ours|Nothing was touched|Run `pulumi up` again/,
  );
  assert.doesNotMatch(output, /^\s+at .*\.js:\d+|please report it|\[object/m);
  if (process.env.SHOW_MESSAGES) console.log(`        > ${/Unable to.*/.exec(output)?.[0]}`);
}

async function engine(stage: Stage, name: string, different: object): Promise<Engine> {
  const workFolder = path.join(stage.sandbox.folder, `stack-${name}`);
  await mkdir(workFolder);
  const args = { ...stage.arguments, ...different };
  return openEngine({
    project,
    workFolder,
    config: { "livedisk-e2e:kind": "StorageMigration", "livedisk-e2e:arguments": JSON.stringify(args) },
  });
}
