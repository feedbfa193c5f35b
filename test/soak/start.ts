/**
 * What `npm run soak` runs: many moves of one guest, and what must not add up over them.
 *
 *   npm run soak -- [--moves 200] [--json] [--no-install]
 */

import { parseArgs } from "node:util";
import { messageOf } from "../../provider/core/errors.js";
import { installMissing } from "../sandbox/install.js";
import type { Level } from "./levels.js";
import { type Figures, soak } from "./soak.js";

const help = `npm run soak -- [--moves <how many, at least 5>] [--json] [--no-install]

Moves the disks of a writing guest back and forth, by one provider process, with afterwards "delete"; then a round with "quarantine".
Fails if a record is lost, or if nodes, jobs, files, descriptors, processes or memory of QEMU, sshd or the provider have risen:
if the median of the last quarter of the moves lies above that of the second quarter (memory: by more than a tenth and 16 MiB).

  --moves       200 unless given
  --json        prints one JSON object as the last line
  --no-install  installs nothing: says what is missing and ends`;

async function main(): Promise<number> {
  const options = {
    moves: { type: "string", default: "200" },
    json: { type: "boolean" },
    "no-install": { type: "boolean" },
    help: { type: "boolean", short: "h" },
  } as const;
  const { values } = parseArgs({ options });
  const moves = Number(values.moves);
  if (values.help || !Number.isInteger(moves) || moves < 5) {
    console.log(help);
    return values.help ? 0 : 64;
  }
  await installMissing({ install: values["no-install"] ? "refuse" : "allow", say: (line) => console.log(line) });
  const quarantineMoves = Math.max(2, Math.floor(moves / 20));
  const onProgress = (line: string) => console.log(line);
  const figures = await soak({ moves, quarantineMoves, movesBetweenChecks: Math.max(2, Math.floor(moves / 10)), onProgress });
  show(figures);
  if (values.json) console.log(JSON.stringify(figures));
  return figures.lost + figures.corrupt + figures.wrong.length === 0 ? 0 : 1;
}

function show({ moves, quarantineMoves, quarantined, disks, seconds, checks, lost, corrupt, pauseMs, levels, wrong }: Figures): void {
  console.log(
    `\nmoves     ${moves} of ${disks} disks in one operation each, and ${quarantineMoves} that left ${quarantined} quarantined images`,
  );
  console.log(`records   ${lost} lost, ${corrupt} clusters corrupt, in ${checks} checks`);
  console.log(`pause     median ${pauseMs.median} ms, longest ${pauseMs.longest} ms`);
  for (const level of levels)
    console.log(`${level.quantity.padEnd(20)} ${text(level, level.secondQuarter)} → ${text(level, level.lastQuarter)}`);
  console.log(`time      ${seconds} s`);
  for (const line of wrong) console.log(`WRONG     ${line}`);
}

function text({ quantity }: Level, value: number): string {
  return quantity.endsWith("Bytes") ? `${(value / 2 ** 20).toFixed(1)} MiB` : String(value);
}

main().then(
  (status) => process.exit(status),
  (reason: unknown) => {
    console.error(messageOf(reason));
    process.exit(1);
  },
);
