/** `npm run test:hostile -- [--moves <number>] [--json]`: see docs/testing.md. */

import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { messageOf } from "../../provider/core/errors.js";
import { installMissing } from "../sandbox/install.js";
import { besiege } from "./siege.js";

const say = (line: string) => console.log(line);

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { moves: { type: "string", default: "200" }, json: { type: "boolean" } } });
  await installMissing({ install: "allow", say });
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  const { wrong, ...figures } = await besiege(Number(values.moves), ["everything", "everything", "new-files"], say);
  for (const line of wrong) say(`WRONG ${line}`);
  const { moves, settled, hung, outsideChanged, swapsInWindow, seconds } = figures;
  if (values.json) say(JSON.stringify({ commit, ...figures }));
  else
    say(
      `${moves} moves, ${settled} settled, ${hung} hung, ${outsideChanged} changed something outside, ${swapsInWindow} swaps, ${seconds} s`,
    );
  return settled === moves && hung === 0 && outsideChanged === 0 && moves > 0 ? 0 : 1;
}

main().then(
  (status) => process.exit(status),
  (reason: unknown) => {
    console.error(messageOf(reason));
    process.exit(1);
  },
);
