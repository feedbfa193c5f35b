import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { hostArgs } from "../provider/host/target.js";
import { domainArgs } from "../provider/hypervisor/address.js";
import { domainDiskArgs } from "../provider/resources/domain-disk/resource.js";
import { mirroredSnapshotArgs } from "../provider/resources/mirrored-snapshot/resource.js";
import { storageMigrationArgs } from "../provider/resources/storage-migration/resource.js";
import { argumentsProved, type Proof, rules } from "./promises.js";
import { run } from "./sandbox/command.js";

/** Titles by file, as mocha itself sees them: it loads every test and runs none. */
async function titlesByFile(): Promise<Map<string, Set<string>>> {
  const compiled = readdirSync(__dirname, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".test.js"));
  const files = compiled.filter((file) => existsSync(path.join(__dirname, "../../test", file.replace(/\.js$/, ".ts"))));
  const mocha = path.join(path.dirname(require.resolve("mocha/package.json")), "bin/mocha.js");
  const all = files.map((file) => path.join(__dirname, file));
  const answer = await run(process.execPath, [mocha, "--dry-run", "--reporter", "json", ...all]);
  const { tests }: { tests: { file: string; fullTitle: string }[] } = JSON.parse(answer);
  const titles = new Map<string, Set<string>>();
  for (const { file, fullTitle } of tests) {
    const name = path.relative(__dirname, file).replace(/\.js$/, ".ts");
    titles.set(name, (titles.get(name) ?? new Set()).add(fullTitle));
  }
  return titles;
}

const shared = ["host", "domain"];

/** Names of the arguments as the schemas have them; `host` and `domain` are the same for all resources. */
const schemas: Readonly<Record<string, readonly string[]>> = {
  host: Object.keys(hostArgs.shape),
  domain: domainArgs.options.flatMap(({ shape }) => Object.keys(shape)),
  DomainDisk: Object.keys(domainDiskArgs.shape).filter((key) => !shared.includes(key)),
  MirroredSnapshot: Object.keys(mirroredSnapshotArgs.shape).filter((key) => !shared.includes(key)),
  StorageMigration: Object.keys(storageMigrationArgs.shape).filter((key) => !shared.includes(key)),
};

describe("what is promised", () => {
  let titles: Map<string, Set<string>>;
  before(async function () {
    this.timeout(180_000);
    titles = await titlesByFile();
  });

  const isThere = ([file, title]: Proof) => titles.get(file)?.has(title) === true;
  const missing = (proofs: readonly Proof[]) => proofs.filter((proof) => !isThere(proof)).map((proof) => proof.join(": "));

  for (const { rule, proofs } of rules) {
    it(`has a test for the rule: ${rule}`, () => {
      assert(proofs.length > 0);
      assert.deepEqual(missing(proofs), []);
    });
  }

  for (const [resource, names] of Object.entries(schemas)) {
    it(`has a test for every argument of ${resource}`, () => {
      const proved = argumentsProved[resource] ?? {};
      assert.deepEqual(Object.keys(proved).sort(), [...names].sort());
      for (const [argument, proofs] of Object.entries(proved)) {
        assert(proofs.length > 0, argument);
        assert.deepEqual(missing(proofs), [], argument);
      }
    });
  }

  it("would be found without its test", () => {
    assert.deepEqual(missing([["promises.test.ts", "what is promised is kept by nobody"]]), [
      "promises.test.ts: what is promised is kept by nobody",
    ]);
  });
});
