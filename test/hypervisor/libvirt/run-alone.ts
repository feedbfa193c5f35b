/** A create in a process of its own, so that it can be killed: `run-alone.js <arguments as JSON>`. Says each line of progress. */

import type { Run } from "../../../provider/lifecycle.js";
import { storageMigration } from "../../../provider/storage-migration/lifecycle.js";

const said = (text: string) => process.stdout.write(`${text}\n`);
const run: Run = {
  progress: said,
  say: (severity, text) => void said(`${severity}: ${text}`),
  stop: new AbortController().signal,
  credentials: {},
  urn: "",
};

const { inputs } = storageMigration.check({}, JSON.parse(process.argv[2] ?? "{}"));
storageMigration.create(inputs, run).then(
  () => process.exit(0),
  (reason) => {
    said(String(reason));
    process.exit(1);
  },
);
