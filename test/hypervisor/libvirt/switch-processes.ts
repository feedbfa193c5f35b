/** The processes of a switch through libvirt, found by the locks that they hold: the host's worker, its child and the virsh of that; of 0.1.0, scripts. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { until } from "../../sandbox/command.js";
import { killQuietly } from "../../sandbox/processes.js";
import type { LibvirtStage } from "./stage.js";

interface Process {
  pid: number;
  parent: number;
  name: string;
  files: string[];
}

function processes(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const [, name = "", rest = ""] = /^\d+ \((.*)\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
        const files = readdirSync(`/proc/${pid}/fd`).map((number) => readlinkSync(`/proc/${pid}/fd/${number}`));
        return [{ pid: Number(pid), parent: Number(rest.split(" ")[1]), name, files }];
      } catch {
        return []; // it has ended meanwhile
      }
    });
}

/** With the programs above them, up to the one that signed in. */
function switchProcesses(stage: LibvirtStage): Process[] {
  const all = processes();
  const isLock = (file: string) => file.startsWith(stage.sandbox.folder) && /\/lm-[0-9a-f]{8}\.(lock|manifest\.json\.turn)$/.test(file);
  const found = new Set(all.filter(({ files }) => files.some(isLock)));
  for (const { parent } of found) {
    const above = all.find(({ pid }) => pid === parent);
    if (above && above.pid !== 1 && above.name !== "sshd" && above.name !== "node") found.add(above);
  }
  return [...found];
}

const isWorker = ({ name }: Process) => name.startsWith("python");

/** Process ids of the worker and of the process that carries the switch out; between them is the fork server. */
export function workerAndChild(stage: LibvirtStage): { worker: number; child: number } {
  const found = switchProcesses(stage).filter(isWorker);
  const worker = found.find(({ parent }) => !found.some(({ pid }) => pid === parent));
  const child = found.find((one) => one !== worker && !found.some(({ parent }) => parent === one.pid));
  assert(worker && child, "The worker and its child are not there.");
  return { worker: worker.pid, child: child.pid };
}

/** Kills the worker alone: its child carries the switch on. */
export function killWorker(stage: LibvirtStage): void {
  process.kill(workerAndChild(stage).worker, "SIGKILL");
}

/** Kills all of a switch at once, as the kernel does where memory runs out. */
export async function killSwitch(stage: LibvirtStage): Promise<void> {
  const found = switchProcesses(stage);
  assert(found.length >= 2, `The switch's processes are not there: ${found.map(({ name }) => name)}`);
  for (const { pid } of found) killQuietly(pid);
  const areGone = () => (switchProcesses(stage).length === 0 ? true : undefined);
  await until(60, areGone, () => "The switch's processes did not end.");
}
