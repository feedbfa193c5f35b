/**
 * What `npm start` runs: moves the disk of a running guest before your eyes, and proves that no write was lost.
 *
 *   npm start -- [--json] [--no-install]
 *
 * Everything is started here on loopback, in temporary folders, and ended and removed before this returns, also on Ctrl-C.
 */

import { parseArgs } from "node:util";
import { messageOf } from "../../provider/core/errors.js";
import { findProgram, installMissing, missingPackages } from "../sandbox/install.js";
import { createSandbox } from "../sandbox/sandbox.js";
import { show } from "./show.js";
import { story } from "./story.js";

/** What the tests need and the quickstart does not. */
const forTestsOnly = ["libvirtd", "virsh", "virtlogd", "sudo"];

const help = `npm start -- [--json] [--no-install]

Moves the disk of a running Linux guest from one directory to another with \`pulumi up\`, and checks every write.

  --json        prints one JSON object as the last line
  --no-install  installs nothing: says what is missing and ends`;

async function main(): Promise<number> {
  const options = { json: { type: "boolean" }, "no-install": { type: "boolean" }, help: { type: "boolean", short: "h" } } as const;
  const { values } = parseArgs({ options });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted.abort(new Error(`Ended by ${signal}.`)));
  const missing = missingPackages((program) => (forTestsOnly.includes(program) ? program : findProgram(program)));
  await installMissing({ install: values["no-install"] ? "refuse" : "allow", say: (line) => console.log(line) }, missing);
  await using sandbox = await createSandbox("quickstart");
  const figures = await story(sandbox, interrupted.signal);
  show(figures);
  if (values.json) console.log(JSON.stringify(figures));
  return figures.records.lost === 0 && figures.records.corrupt === 0 ? 0 : 1;
}

main().then(
  (status) => {
    process.exitCode = status;
  },
  (reason) => {
    console.error(messageOf(reason));
    process.exitCode = 1;
  },
);
