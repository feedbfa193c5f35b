/**
 * What of provider/ and tools/ exceeds the linter's limits today, as biome itself counts it: the lists in test/architecture/limits.json, and
 * the overrides of biome.json that let these files pass. `node dist/tools/limits.js --write` writes both: they may only get shorter.
 */

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { z } from "zod";

const root = path.resolve(__dirname, "../..");
const biomeFile = path.join(root, "biome.json");
export const limitsFile = path.join(root, "test/architecture/limits.json");

/** By rule, as `style/noExcessiveLinesPerFile`: how often each file exceeds it. */
export type Limits = Record<string, Record<string, number>>;

const options = z.record(z.string(), z.unknown());
const rules = z.record(z.string(), z.record(z.string(), z.union([z.literal("off"), z.object({ level: z.literal("error"), options })])));
const override = z.object({ includes: z.array(z.string()), linter: z.object({ rules }) });
const biome = z.looseObject({ overrides: z.array(override).min(1) });
type Override = z.output<typeof override>;

/**
 * The first override of biome.json has the limits and where they hold; those that turn a rule off say whom they do not hold for yet. The rest
 * is about something else.
 */
function readOverrides(): { limits: Override; exempt: Override[]; others: Override[] } {
  const [limits, ...more] = biome.parse(JSON.parse(readFileSync(biomeFile, "utf8"))).overrides;
  if (!limits) throw new Error("biome.json has no limits.");
  return { limits, exempt: more.filter(turnsOff), others: more.filter((override) => !turnsOff(override)) };
}

function turnsOff({ linter }: Override): boolean {
  return Object.values(linter.rules).some((group) => Object.values(group).includes("off"));
}

/** By rule, the files that biome.json lets pass. */
export function exemptFiles(): Record<string, string[]> {
  const { exempt } = readOverrides();
  return Object.fromEntries(exempt.map(({ includes, linter }) => [namesOf(linter.rules).join(), includes]));
}

function namesOf(groups: Override["linter"]["rules"]): string[] {
  return Object.entries(groups).flatMap(([group, own]) => Object.keys(own).map((rule) => `${group}/${rule}`));
}

const report = z.object({ diagnostics: z.array(z.object({ category: z.string(), location: z.object({ path: z.string() }) })) });

/** What biome finds where nothing is exempt. */
export function exceeding(folder = root): Limits {
  const { includes, linter } = readOverrides().limits;
  const config = mkdtempSync(path.join(tmpdir(), "livedisk-limits-"));
  try {
    writeFileSync(path.join(config, "biome.json"), JSON.stringify({ linter: { rules: { preset: "none", ...linter.rules } } }));
    const found: Limits = Object.fromEntries(namesOf(linter.rules).map((name) => [name, {}]));
    for (const { category, location } of lint(folder, config, includes)) {
      const files = found[category.replace(/^lint\//, "")];
      if (!files) throw new Error(`biome found ${category} in ${location.path}.`);
      files[location.path] = (files[location.path] ?? 0) + 1;
    }
    return found;
  } finally {
    rmSync(config, { recursive: true });
  }
}

function lint(folder: string, config: string, includes: readonly string[]) {
  const places = includes.map((pattern) => pattern.replace(/\/\*\*$/, ""));
  const args = ["lint", `--config-path=${config}`, "--max-diagnostics=none", "--reporter=json", ...places];
  // it ends with a status of its own where it finds something
  const { stdout } = spawnSync(path.join(root, "node_modules/.bin/biome"), args, { cwd: folder, encoding: "utf8", maxBuffer: 2 ** 26 });
  return report.parse(JSON.parse(stdout)).diagnostics;
}

function write(): void {
  const limits = exceeding();
  writeFileSync(limitsFile, `${JSON.stringify(limits, undefined, 2)}\n`);
  const { limits: limited, others } = readOverrides();
  const exempt = Object.entries(limits).flatMap(([name, files]) => {
    const [group = "", rule = ""] = name.split("/");
    return Object.keys(files).length === 0 ? [] : [{ includes: Object.keys(files), linter: { rules: { [group]: { [rule]: "off" } } } }];
  });
  const config: object = JSON.parse(readFileSync(biomeFile, "utf8"));
  writeFileSync(biomeFile, `${JSON.stringify({ ...config, overrides: [limited, ...others, ...exempt] }, undefined, 2)}\n`);
  execFileSync(path.join(root, "node_modules/.bin/biome"), ["format", "--write", biomeFile, limitsFile], { cwd: root, stdio: "ignore" });
}

if (require.main === module && process.argv.includes("--write")) write();
