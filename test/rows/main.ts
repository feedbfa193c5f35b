/**
 * What `npm run rows -- --against <commit> [<part of a file's path> …]` runs: every test in test/rows on the provider of that commit,
 * then on this one. A row is a fault that was found on a release: it fails there, and passes here.
 */

import path from "node:path";
import { parseArgs } from "node:util";
import { messageOf } from "../../provider/core/errors.js";
import { type KnownBroken, type Result, readKnownBroken } from "../known-broken.js";
import { installMissing } from "../sandbox/install.js";
import { nameOf, runSuite, testFiles } from "../suite.js";
import { buildOf } from "./build.js";
import { againstVariable } from "./redirect.js";

const usage = "Say `npm run rows -- --against <commit>`, and perhaps parts of the paths of files in test/rows.";

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ options: { against: { type: "string" } }, allowPositionals: true });
  if (values.against === undefined) throw new Error(usage);
  const isWanted = (name: string) =>
    name.startsWith("test/rows/") && (positionals.length === 0 || positionals.some((part) => name.includes(part)));
  const files = testFiles().filter((file) => isWanted(nameOf(file)));
  await installMissing({ install: "allow", say: (line) => console.log(line) });
  const { commit, provider } = await buildOf(values.against);
  const known = readKnownBroken();
  const then = without(known, await onBuild(provider, files));
  const now = without(known, await runSuite(files, { reporter: "count" }));
  for (const result of then.filter(isRow)) console.log(`${result.title}\n    ${commit}: ${inWords(result)}`);
  // there a fault may keep a guest from ending as it should; here nothing does
  const amiss = now.filter(({ state }) => state !== "passed");
  for (const result of amiss) console.log(`${result.title}\n    here: ${inWords(result)}`);
  const rows = now.filter(isRow);
  const failed = rows.filter(({ title }) => then.some((result) => result.title === title && result.state === "failed"));
  const passed = rows.filter(({ state }) => state === "passed");
  console.log(`${rows.length} rows: ${failed.length} failed on ${commit}, ${passed.length} passed here`);
  return rows.length > 0 && failed.length === rows.length && amiss.length === 0 ? 0 : 1;
}

function isRow({ state }: Result): boolean {
  return state !== "hook-failed";
}

function inWords({ state, message }: Result): string {
  return state === "failed" ? (message ?? "failed") : `${state}${message === undefined ? "" : `: ${message}`}`;
}

/** What is broken on both says nothing here: it is named in test/known-broken.json. */
function without(known: KnownBroken, results: readonly Result[]): Result[] {
  return results.filter(({ title }) => known[title] === undefined);
}

async function onBuild(provider: string, files: readonly string[]): Promise<Result[]> {
  const { NODE_OPTIONS } = process.env;
  // the workers are processes of their own, and inherit both
  process.env.NODE_OPTIONS = `${NODE_OPTIONS ?? ""} --require ${JSON.stringify(path.join(__dirname, "redirect.js"))}`;
  process.env[againstVariable] = provider;
  try {
    return await runSuite(files, { reporter: "count" });
  } finally {
    if (NODE_OPTIONS === undefined) delete process.env.NODE_OPTIONS;
    else process.env.NODE_OPTIONS = NODE_OPTIONS;
    delete process.env[againstVariable];
  }
}

main().then(
  (status) => process.exit(status),
  (reason: unknown) => {
    console.error(messageOf(reason));
    process.exit(1);
  },
);
