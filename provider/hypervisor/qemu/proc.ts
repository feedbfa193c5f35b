/** The process behind a monitor, from the host's /proc. */

import type { Host } from "../../host/host.js";
import { openFilesOf, pidBehind } from "../../host/worker/guest-process.js";
import type { GuestProcess } from "../hypervisor.js";
import type { QmpSession } from "./client.js";
import type { Monitor } from "./monitor.js";
import type { Way } from "./sessions.js";

/** What the process has open now; undefined where it has ended, or the host hides that. */
async function processNow(host: Host, pid: number): Promise<GuestProcess | undefined> {
  const found = await openFilesOf(await host.worker(), pid);
  if (!found) return undefined;
  const openFiles = new Set(found.files.map(({ device, inode }) => `${device}:${inode}`));
  return { pid, workingDirectory: found.workingDirectory, openFiles, openPaths: found.files.map(({ path }) => path) };
}

class Pids extends WeakMap<QmpSession, number> {}

/** The process behind a monitor: looked for once in a session, since it is the same as long as that lasts. */
export async function processOf(monitor: Monitor, way: Way): Promise<GuestProcess | undefined> {
  const pids = way.host.world.one(Pids);
  const known = monitor.isOpen ? monitor.use(async (session) => pids.get(session) ?? (await findProcess(session, way))) : undefined;
  const pid = await (known ?? pidAt(way));
  return pid === undefined ? undefined : processNow(way.host, pid);
}

/** What this account may not see, another one may. */
async function findProcess(session: QmpSession, way: Way): Promise<number | undefined> {
  const pid = await pidAt(way);
  if (pid !== undefined) way.host.world.one(Pids).set(session, pid);
  return pid;
}

async function pidAt({ host, socket }: Way): Promise<number | undefined> {
  return pidBehind(await host.worker(), socket);
}
