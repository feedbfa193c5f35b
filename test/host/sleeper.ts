/**
 * A client of its own process: takes the lock of a folder and says so; told to go on, it tries to change something there, and says what came of it.
 * Its worker ends after a second without a word of its client's.
 */

import { messageOf } from "../../provider/core/errors.js";
import { withLocks } from "../../provider/journal/lock.js";
import { ownHost } from "./own-host.js";

const [folder = "", key = ""] = process.argv.slice(2);

async function main(): Promise<void> {
  const host = ownHost({ silenceSeconds: 1, wordSeconds: 0.1 });
  await withLocks(host, async (locks) => {
    await locks.take(folder, key, { said: () => {}, stop: new AbortController().signal });
    console.log("taken");
    await new Promise((resolve) => process.stdin.once("data", resolve));
    const acts = await Promise.allSettled([locks.check(), host.run('touch "$1"', [`${folder}/planted`])]);
    console.log(JSON.stringify(acts.map((act) => (act.status === "rejected" ? messageOf(act.reason) : "done"))));
  });
}

main().then(
  () => process.exit(0),
  (reason: unknown) => {
    console.error(reason);
    process.exit(1);
  },
);
