/** Many disks read by a provider process of its own, and what that costs the host. */

import path from "node:path";
import type { Properties } from "../provider/core/lifecycle.js";
import type { HerdGuest } from "../test/sandbox/herd.js";
import type { Sandbox } from "../test/sandbox/sandbox.js";
import type { ShellLog } from "../test/sandbox/shell-log.js";
import { fewAtATime } from "../test/sandbox/turns.js";
import { timed } from "./disk.js";
import { type Disks, hiddenOf, Provider, urnOf } from "./stack.js";

export function disksOf(sandbox: Sandbox, herd: readonly HerdGuest[]): Disks {
  return herd.flatMap(({ folder, monitor, disks }) =>
    disks.map(({ id }) => {
      const args: Properties = { host: { ...sandbox.host, privilege: "user" }, domain: { qmp: monitor.path }, disk: id, storage: folder };
      return [`${path.basename(folder)}-${id}`, args] as const;
    }),
  );
}

export interface Counts {
  connections: number;
  commands: number;
  sessions: number;
  runs: number;
}

interface Counted {
  herd: readonly HerdGuest[];
  log: ShellLog;
  sandbox: Sandbox;
}

/** Every disk once, in a provider process of its own. */
export async function readAll(
  disks: Disks,
  atATime: number,
  { herd, log, sandbox }: Counted,
): Promise<{ seconds: number; counts: Counts }> {
  await log.forget();
  for (const { monitor } of herd) monitor.commands.splice(0);
  let connections = 0;
  const seconds = await readOnly(disks, atATime, async () => {
    connections = await sandbox.sshd.connections();
  });
  const commands = herd.flatMap(({ monitor }) => monitor.commands.filter((command) => command !== "qmp_capabilities"));
  return { seconds, counts: { connections, commands: commands.length, ...(await log.count()) } };
}

export async function readOnly(disks: Disks, atATime: number, afterwards: () => Promise<void> = async () => undefined): Promise<number> {
  await using provider = await Provider.start();
  const bags = disks.map(([name, args]) => ({ name, properties: { ...args, ...hiddenOf("DomainDisk", name), schemaVersion: 1 } }));
  const seconds = await timed(() =>
    fewAtATime(atATime, bags, async ({ name, properties }) => {
      const { outputs } = await provider.process.read(urnOf("DomainDisk", name), name, { properties, inputs: properties });
      if (outputs.status !== "settled") throw new Error(`The disk ${name} is ${outputs.status}, not settled.`);
    }),
  );
  await afterwards();
  return seconds;
}
