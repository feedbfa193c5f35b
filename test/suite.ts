/** Runs test files in worker processes, and tells how each of their tests ended. */

import { existsSync, readdirSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import Mocha from "mocha";
import type { Result } from "./known-broken.js";
import { whyTwice } from "./second-turn/leave.js";
import { Slowest } from "./slowest.js";
import { isIn } from "./tiers.js";

/** For what hangs. Two busy cores carry three guests at a time; a test that takes longer says so. */
const perTestMs = 180_000;

/** What needs a fraction of a second comes first, then whole scenarios, the longest; the shorter ones last, so that no worker waits long for the other. */
const folders = ["e2e", "engine", "", "sandbox"];

function turnOf(name: string): number {
  const [folder = ""] = name.split(path.sep);
  if (isIn("unit", name)) return 0;
  return 1 + folders.indexOf(folders.includes(folder) ? folder : "");
}

/** All compiled test files whose source is still there, in the order in which they run. */
export function testFiles(folder = __dirname): string[] {
  const compiled = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".test.js"));
  const files = compiled.filter((file) => existsSync(path.join(folder, "../../test", file.replace(/\.js$/, ".ts"))));
  const turns = new Map(files.map((file) => [file, turnOf(file)]));
  const turn = (file: string) => turns.get(file) ?? 0;
  return files.sort((a, b) => turn(a) - turn(b) || a.localeCompare(b)).map((file) => path.join(folder, file));
}

/** As `test/e2e/move.test.js`: where the repository lies is no part of it. */
export function nameOf(file: string): string {
  return path.join("test", path.relative(__dirname, file));
}

export interface SuiteOptions {
  /** Part of a title: only such tests run. */
  only?: string | undefined;
  /** `count`: one line at the end, for a run whose failures are wanted. */
  reporter: "spec" | "count";
}

/** Says nothing of a test's failure: whoever asked for it tells that. */
class CountReporter extends Mocha.reporters.Base {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    let ended = 0;
    runner.on("test end", () => process.stdout.write(`\r${++ended} ended`));
    runner.once("end", () => process.stdout.write("\n"));
  }
}

export function runSuite(files: readonly string[], { only, reporter }: SuiteOptions): Promise<Result[]> {
  const mocha = new Mocha({
    timeout: perTestMs,
    slow: 10_000,
    reporter: reporter === "spec" ? "spec" : CountReporter,
    forbidOnly: true,
    // more than there are processors: a scenario waits for its guest a third of the time; what starts none waits half of it, and takes little memory
    parallel: true,
    jobs: os.availableParallelism() + (files.every((file) => isIn("unit", path.relative(__dirname, file))) ? 2 : 1),
    // a test that may have a second turn says so itself (second-turn/leave.ts)
    retries: 0,
    ...(only === undefined ? {} : { fgrep: only }),
  });
  for (const file of files) mocha.addFile(file);
  const results: Result[] = [];
  const firstTurns = new Map<string, Pick<Result, "firstFailure" | "mayFail">>();
  const ended = (test: Mocha.Test, end: Pick<Result, "state" | "message">) => {
    const title = test.fullTitle();
    const first = firstTurns.get(title);
    // however it came by a second turn: without a reason its first one counts
    if (first && first.mayFail === undefined) results.push({ title, state: "failed", message: first.firstFailure ?? "" });
    else results.push({ title, ...end, ...first });
  };
  return new Promise((resolve) => {
    const slowest = new Slowest();
    // a worker that ends while it has nothing to do is waited for by nobody (workerpool 10.0.3, terminate()): Node would end the run with status 0
    const cut = () => {
      console.log("\nThe run has stopped in the middle: a process of its tests ended, as is said above.");
      resolve([...results, { title: "the run", state: "failed", message: "it stopped in the middle" }]);
    };
    process.once("beforeExit", cut);
    const runner = mocha.run(() => {
      process.off("beforeExit", cut);
      const line = reporter === "spec" ? slowest.line(__dirname) : undefined;
      if (line !== undefined) console.log(line);
      resolve(results);
    });
    slowest.listen(runner);
    runner.on("pass", (test) => ended(test, { state: "passed" }));
    runner.on("pending", (test) => ended(test, { state: "skipped" }));
    runner.on("fail", (test, reason: { message?: string; uncaught?: boolean }) => {
      const message = firstLine(reason.message ?? String(reason));
      // of all but the first mocha's own reporter says neither
      if (reason.uncaught && test.file) console.log(`    ${nameOf(test.file)} did not come to its end: ${message}`);
      ended(test, { state: String(test.type) === "hook" ? "hook-failed" : "failed", message });
    });
    runner.on("retry", (test, reason: { message: string }) => {
      const mayFail = whyTwice(test);
      firstTurns.set(test.fullTitle(), { firstFailure: firstLine(reason.message), ...(mayFail !== undefined && { mayFail }) });
      console.log(`    once more${mayFail === undefined ? ", without leave: it has failed" : ""}: ${test.fullTitle()} (${reason.message})`);
    });
  });
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? "";
}
