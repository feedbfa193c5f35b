/**
 * What `npm test` runs: `npm test -- [--no-install] [--qemu host|trixie|host,trixie] [--only <part of a title>] [<part of a file's path> …]`.
 * Installs what is missing, runs the tests (the quick ones first), and ends with a line of figures.
 */

import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import Mocha from "mocha";
import { messageOf } from "../provider/errors.js";
import { type InstallOptions, installMissing } from "./sandbox/install.js";
import { chooseReleases, chosenReleases, prepareReleases, qemuVersion } from "./sandbox/qemu.js";

const perTestMs = 60_000;

/** Long rows, which run only if one of the folders that they lie in is named: `npm run test:adversity`. */
const atLength = "adversity/at-length/";

/** Real processes and whole scenarios come after what needs a fraction of a second; the shorter ones last, so that no worker waits long for the other. */
const lateFolders = ["engine", "e2e", "sandbox"];

const where = { host: "this machine's own", trixie: "Debian trixie's" } as const;

async function main(): Promise<number> {
  const options = { "no-install": { type: "boolean" }, only: { type: "string" }, qemu: { type: "string" } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const install: InstallOptions = { install: values["no-install"] === true ? "refuse" : "allow", say: (line) => console.log(line) };
  const files = testFiles(__dirname).filter((file) => isWanted(nameOf(file), positionals));
  try {
    if (values.qemu !== undefined) chooseReleases(values.qemu);
    await installMissing(install);
    await prepareReleases(install, files.some((file) => nameOf(file).includes("libvirt")) ? "needed" : "unused");
    for (const release of chosenReleases()) console.log(`Guests run on QEMU ${await qemuVersion(release)}, ${where[release]}.`);
  } catch (reason) {
    console.error(messageOf(reason));
    return 1;
  }
  const { passed, failed, skipped } = await runTests(files, values.only);
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

/** All compiled test files whose source is still there, in the order in which they run. */
function testFiles(folder: string): string[] {
  const compiled = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".test.js"));
  const files = compiled.filter((file) => existsSync(path.join(folder, "../../test", file.replace(/\.js$/, ".ts"))));
  const turn = (file: string) => lateFolders.indexOf(file.split(path.sep)[0] ?? "");
  return files.sort((a, b) => turn(a) - turn(b) || a.localeCompare(b)).map((file) => path.join(folder, file));
}

function isWanted(name: string, parts: readonly string[]): boolean {
  const asked = name.includes(atLength) ? parts.filter((part) => /adversity|at-length/.test(part)) : parts;
  return asked.some((part) => name.includes(part)) || (parts.length === 0 && !name.includes(atLength));
}

/** As `test/e2e/move.test.js`: where the repository lies is no part of it. */
function nameOf(file: string): string {
  return path.join("test", path.relative(__dirname, file));
}

interface Figures {
  passed: number;
  failed: number;
  skipped: number;
}

function runTests(files: readonly string[], only: string | undefined): Promise<Figures> {
  const mocha = new Mocha({
    timeout: perTestMs,
    slow: 10_000,
    reporter: "spec",
    forbidOnly: true,
    // every file in a process of its own turn: a scenario waits for its guest most of the time
    parallel: true,
    jobs: 2,
    // two noisy cores carry two guests at a time: what fails for want of time gets one more turn, and is named
    retries: 1,
    ...(only === undefined ? {} : { fgrep: only }),
  });
  for (const file of files) mocha.addFile(file);
  return new Promise((resolve) => {
    const runner = mocha.run(() => {
      const { passes = 0, failures = 0, pending = 0 } = runner.stats ?? {};
      resolve({ passed: passes, failed: failures, skipped: pending });
    });
    runner.on("retry", (test, reason: { message: string }) => console.log(`    once more: ${test.fullTitle()} (${reason.message})`));
  });
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
