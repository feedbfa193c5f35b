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
  const now = without(known, await runSuite(files, { retries: 0, reporter: "count" }));
  for (const { title, state, message } of then)
    console.log(state === "failed" ? `${title}\n    ${commit}: ${message}` : `${title}\n    ${commit}: ${state}, where it should fail`);
  for (const { title, state, message } of now)
    if (state !== "passed") console.log(`${title}\n    here: ${state}${message === undefined ? "" : `: ${message}`}`);
  const failed = then.filter(({ state }) => state === "failed").length;
  const passed = now.filter(({ state }) => state === "passed").length;
  console.log(`${now.length} rows: ${failed} failed on ${commit}, ${passed} passed here`);
  return now.length > 0 && then.length === now.length && failed === then.length && passed === now.length ? 0 : 1;
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
    return await runSuite(files, { retries: 0, reporter: "count" });
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
