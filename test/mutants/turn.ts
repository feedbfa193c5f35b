/** What a process of its own does: runs test files one after the other, tells of each how it ended, and is over with the first that fails. */

import path from "node:path";
import Mocha from "mocha";
import { readKnownBroken } from "../known-broken.js";

/** What is told to whoever has started it. */
export type Told =
  | { told: "passed"; file: string; milliseconds: number }
  | { told: "failed"; file: string; title: string; message: string }
  | { told: "begun"; file: string };

const tell = (told: Told) => new Promise<void>((resolve) => void process.send?.(told, () => resolve()));

/** @param file as `test/host/run.test.js` */
async function failureIn(file: string): Promise<{ title: string; message: string } | undefined> {
  const known = readKnownBroken();
  const mocha = new Mocha({ timeout: 60_000, reporter: class extends Mocha.reporters.Base {}, retries: 0 });
  const place = path.resolve(__dirname, "../..", file);
  delete require.cache[place];
  mocha.addFile(place);
  return new Promise((resolve) => {
    let failure: { title: string; message: string } | undefined;
    const runner = mocha.run(() => resolve(failure));
    runner.on("fail", (test, reason: { message?: string }) => {
      if (failure || known[test.fullTitle()] !== undefined) return;
      failure = { title: test.fullTitle(), message: reason.message?.split("\n")[0] ?? String(reason) };
      runner.abort();
    });
  });
}

async function main(files: readonly string[]): Promise<void> {
  for (const file of files) {
    await tell({ told: "begun", file });
    const began = performance.now();
    const failure = await failureIn(file).catch((reason: unknown) => ({ title: "it cannot be loaded", message: String(reason) }));
    if (failure) return tell({ told: "failed", file, ...failure });
    await tell({ told: "passed", file, milliseconds: performance.now() - began });
  }
}

main(process.argv.slice(2)).finally(() => process.exit(0));
