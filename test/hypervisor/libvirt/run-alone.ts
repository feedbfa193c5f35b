/**
 * A create or delete in a process of its own, so that it can be killed: `run-alone.js create|delete <arguments as JSON> [<pattern>]`. Says each
 * line of progress, and falls asleep (SIGSTOP) with the first one that is like the pattern.
 */

import type { Run } from "../../../provider/core/lifecycle.js";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { thisWorld } from "../../world.js";

const [, , verb, args = "{}", asleepAt] = process.argv;
let isAwake = asleepAt !== undefined;

function said(text: string): void {
  process.stdout.write(`${text}\n`);
  if (!isAwake || !new RegExp(asleepAt ?? "").test(text)) return;
  isAwake = false;
  process.kill(process.pid, "SIGSTOP");
}

const run: Run = {
  progress: said,
  say: (severity, text) => said(`${severity}: ${text}`),
  world: thisWorld,
  stop: new AbortController().signal,
  credentials: {},
  urn: "",
};

const { inputs } = storageMigration.check({}, JSON.parse(args));
const going: Promise<unknown> = verb === "delete" ? storageMigration.delete("id", inputs, run) : storageMigration.create(inputs, run);
going.then(
  () => process.exit(0),
  (reason) => {
    said(String(reason));
    process.exit(1);
  },
);
