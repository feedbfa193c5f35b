/** A create or delete in a process of its own, so that it can be killed: `run-alone.js create|delete <arguments as JSON>`. Says each line of progress. */

import type { Run } from "../../../provider/core/lifecycle.js";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";

const said = (text: string) => process.stdout.write(`${text}\n`);
const run: Run = {
  progress: said,
  say: (severity, text) => void said(`${severity}: ${text}`),
  stop: new AbortController().signal,
  credentials: {},
  urn: "",
};

const [, , verb, args = "{}"] = process.argv;
const { inputs } = storageMigration.check({}, JSON.parse(args));
const going: Promise<unknown> = verb === "delete" ? storageMigration.delete("id", inputs, run) : storageMigration.create(inputs, run);
going.then(
  () => process.exit(0),
  (reason) => {
    said(String(reason));
    process.exit(1);
  },
);
