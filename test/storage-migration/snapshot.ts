/** What a refusal must not change: files by what they are, and what QEMU has open and does. */

import { lstat, readdir } from "node:fs/promises";
import path from "node:path";
import type { Operator } from "../sandbox/operator.js";

/** Two of them are equal if nothing was touched in between. Locks come and go, so a directory's own time is not in it. */
export type Snapshot = Record<string, string>;

/** @param busy files that the guest writes to: their size and time change by themselves */
export async function snapshotOf(folders: readonly string[], operator?: Operator, busy: readonly string[] = []): Promise<Snapshot> {
  const snapshot: Snapshot = {};
  for (const folder of folders) await addFolder(snapshot, folder, busy);
  if (operator) await addGraph(snapshot, operator);
  return snapshot;
}

async function addFolder(snapshot: Snapshot, folder: string, busy: readonly string[]): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    const file = path.join(folder, name);
    const { ino, mode, size, mtimeNs } = await lstat(file, { bigint: true });
    const isDirectory = (mode & 0o170000n) === 0o040000n;
    snapshot[file] = `ino ${ino} mode ${mode.toString(8)}${isDirectory || busy.includes(file) ? "" : ` ${size} bytes of ${mtimeNs}`}`;
    if (isDirectory) await addFolder(snapshot, file, busy);
  }
}

async function addGraph(snapshot: Snapshot, operator: Operator): Promise<void> {
  const nodes = (await operator.execute("query-named-block-nodes", { flat: true })) as Record<string, unknown>[];
  for (const node of nodes) snapshot[`node ${node["node-name"]}`] = `${node.drv} ${node.file}`;
  const drives = (await operator.execute("query-block")) as { qdev?: string; device: string; inserted?: Record<string, unknown> }[];
  for (const { qdev, device, inserted } of drives) snapshot[`drive ${qdev ?? device}`] = String(inserted?.["node-name"]);
  for (const job of (await operator.execute("query-jobs")) as { id: string; type: string }[]) snapshot[`job ${job.id}`] = job.type;
}
