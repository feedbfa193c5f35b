/**
 * What `npm test` runs: `npm test -- [--no-install] [--qemu host|trixie|host,trixie] [--only <part of a title>] [<part of a file's path> …]`.
 * Installs what is missing, runs the tests (the quick ones first), and ends with two lines of figures. `--tier unit|usual|all` says which
 * files run where none is named.
 */

import { parseArgs } from "node:util";
import { messageOf } from "../provider/core/errors.js";
import { copyWorker } from "../tools/copy-worker.js";
import { readKnownBroken } from "./known-broken.js";
import { report } from "./report.js";
import { type InstallOptions, installMissing } from "./sandbox/install.js";
import { chooseReleases, chosenReleases, prepareReleases, qemuVersion } from "./sandbox/qemu.js";
import { nameOf, runSuite, testFiles } from "./suite.js";
import { isIn, isLong, type Tier, tiers } from "./tiers.js";

const where = { host: "this machine's own", trixie: "Debian trixie's" } as const;

async function main(): Promise<number> {
  const options = {
    "no-install": { type: "boolean" },
    only: { type: "string" },
    qemu: { type: "string" },
    tier: { type: "string" },
  } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const install: InstallOptions = { install: values["no-install"] === true ? "refuse" : "allow", say: (line) => console.log(line) };
  const tier = tiers.find((one) => one === (values.tier ?? "all"));
  if (tier === undefined) throw new Error(`There is no tier ${values.tier}: say ${tiers.join(", ")}.`);
  const parts = positionals.map((part) => part.replace(/\.[jt]s$/, "")); // as a shell completes a source's name
  const files = testFiles().filter((file) => isWanted(nameOf(file), parts, tier));
  if (files.length === 0) {
    console.error(`No test file has ${parts.join(", or ")} in its path.`);
    return 1;
  }
  try {
    if (values.qemu !== undefined) chooseReleases(values.qemu);
    copyWorker(); // as the build does, for who ran the compiler alone
    await installMissing(install);
    await prepareReleases(install, files.some((file) => nameOf(file).includes("libvirt")) ? "needed" : "unused");
    for (const release of chosenReleases()) console.log(`Guests run on QEMU ${await qemuVersion(release)}, ${where[release]}.`);
  } catch (reason) {
    console.error(messageOf(reason));
    return 1;
  }
  const results = await runSuite(files, { only: values.only, reporter: "spec" });
  const scope = positionals.length === 0 && values.only === undefined && tier === "all" ? "all" : "some";
  return report(results, readKnownBroken(), scope);
}

function isWanted(name: string, parts: readonly string[], tier: Tier): boolean {
  if (parts.length === 0) return isIn(tier, name.replace(/^test\//, ""));
  const asked = isLong(name) ? parts.filter((part) => /adversity|at-length|matrix|faults/.test(part)) : parts;
  return asked.some((part) => name.includes(part));
}

if (require.main === module) {
  main().then(
    // Explicitly: a connection that a failed test left open must not keep the run from ending.
    (status) => process.exit(status),
    (reason: unknown) => {
      console.error(reason instanceof Error ? reason.stack : reason);
      process.exit(1);
    },
  );
}
