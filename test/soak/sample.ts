/** What QEMU, sshd and the provider hold, by other roads than the provider's: the guest's second monitor, /proc, the file system. */

import { readdir, readFile } from "node:fs/promises";
import { until } from "../sandbox/command.js";
import type { Guest } from "../sandbox/guest.js";
import type { Operator } from "../sandbox/operator.js";
import { descendants } from "../sandbox/processes.js";
import type { Sshd } from "../sandbox/sshd.js";
import type { Sample } from "./levels.js";

export interface Sampled {
  guest: Guest;
  operator: Operator;
  sshd: Sshd;
  /** Process id of the provider. */
  provider: number;
  /** Directories whose files are counted. */
  storages: readonly string[];
}

/** Taken as soon as the provider has let go of the monitor, which it keeps for a moment in case more is to be asked. */
export async function takeSample({ guest, operator, sshd, provider, storages }: Sampled): Promise<Sample> {
  const isFree = async () => ((await clientsOf(guest.qmpSocket)) === 0 ? true : undefined);
  await until(30, isFree, () => `The provider holds the monitor ${guest.qmpSocket} although nothing is under way.`);
  const nodes = (await operator.execute("query-named-block-nodes", { flat: true })) as unknown[];
  const jobs = (await operator.execute("query-jobs")) as unknown[];
  const served = [sshd.pid, ...(await descendants(sshd.pid)).map(({ pid }) => pid)];
  return {
    namedNodes: nodes.length,
    jobs: jobs.length,
    files: await sumOf(storages, async (storage) => (await readdir(storage)).length),
    qemuDescriptors: await descriptors(guest.pid),
    qemuBytes: await residentBytes(guest.pid),
    sshdProcesses: served.length,
    sshdDescriptors: await sumOf(served, descriptors),
    sshdBytes: await sumOf(served, residentBytes),
    providerDescriptors: await descriptors(provider),
    providerThreads: (await readdir(`/proc/${provider}/task`)).length,
    providerBytes: await residentBytes(provider),
  };
}

/** An accepted connection has the listening socket's name and is in state 3 (SS_CONNECTED); see unix_seq_show() in Linux, net/unix/af_unix.c. */
async function clientsOf(socket: string): Promise<number> {
  const lines = (await readFile("/proc/net/unix", "utf8")).split("\n");
  return lines.filter((line) => line.endsWith(` ${socket}`) && line.split(" ")[5] === "03").length;
}

async function sumOf<T>(all: readonly T[], measure: (one: T) => Promise<number>): Promise<number> {
  const measured = await Promise.all(all.map(measure));
  return measured.reduce((sum, one) => sum + one, 0);
}

/** 0 for a process that has ended meanwhile. */
async function descriptors(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`).catch(() => [])).length;
}

/** Resident memory that is the process's own: without file pages, which the kernel may drop at any time (proc(5), RssAnon). */
async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return 1024 * Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
}
