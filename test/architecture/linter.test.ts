/** What the linter refuses between the engine and the hosts, where time, chance and all that is outside come from the world (biome.json). */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { makeFolder } from "../sandbox/folders.js";

const root = path.resolve(__dirname, "../../..");
const rooms = ["core", "flows", "hypervisor", "image", "journal", "reconciler", "resources", "storage"];

/** By rule, what breaks it. */
const plants = {
  noRestrictedGlobals: [
    "new Date()",
    "Date.now()",
    "performance.now()",
    "setTimeout(() => {}, 1)",
    "setInterval(() => {}, 1)",
    "setImmediate(() => {})",
    "crypto.randomUUID()",
    "process.pid",
    "globalThis.setTimeout",
  ].map((use) => `export const made = () => ${use};`),
  noRestrictedImports: [
    'import { randomBytes } from "node:crypto";',
    'import { setTimeout as wait } from "node:timers/promises";',
    'import { readFileSync } from "node:fs";',
    'import { hostname } from "node:os";',
    'import { isDeepStrictEqual } from "node:util";',
  ].map((line) => `${line}\nexport * as all from "./all.js";`),
};

const allowed = 'import { createHash } from "node:crypto";\nimport { posix } from "node:path";\nexport const both = [createHash, posix];';

/** Whether each of these texts breaks the rule, by its file. */
function brokenIn(folder: string, files: Readonly<Record<string, string>>, rule: string): string[] {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.join(folder, path.dirname(file)), { recursive: true });
    writeFileSync(path.join(folder, file), text);
  }
  copyFileSync(path.join(root, "biome.json"), path.join(folder, "biome.json"));
  const args = ["lint", `--only=style/${rule}`, "--max-diagnostics=none", "--reporter=json", "provider"];
  const { stdout } = spawnSync(path.join(root, "node_modules/.bin/biome"), args, { cwd: folder, encoding: "utf8" });
  const { diagnostics }: { diagnostics: { category: string; location: { path: string } }[] } = JSON.parse(stdout);
  return [...new Set(diagnostics.filter(({ category }) => category === `lint/style/${rule}`).map(({ location }) => location.path))].sort();
}

describe("the linter", () => {
  let folder: { path: string; remove(): Promise<void> };
  beforeEach(async () => {
    folder = await makeFolder("livedisk-linter-test-");
  });
  afterEach(() => folder.remove());

  for (const [rule, texts] of Object.entries(plants)) {
    it(`refuses by ${rule} whatever reaches outside, in each room but host/`, () => {
      const everywhere = rooms.map((room) => [`provider/${room}/deep/planted.ts`, texts[0] ?? ""] as const);
      const each = texts.map((text, index) => [`provider/flows/planted${index}.ts`, text] as const);
      const planted = Object.fromEntries([...everywhere, ...each]);
      const fine = {
        "provider/host/fine.ts": texts.join("\n"),
        "provider/pulumi/fine.ts": texts[0] ?? "",
        "provider/flows/fine.ts": allowed,
      };
      assert.deepEqual(brokenIn(folder.path, { ...planted, ...fine }, rule), Object.keys(planted).sort());
    });
  }
});
