/** The processes of a switch through libvirt, found by the lock that each of them keeps. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { until } from "../../sandbox/command.js";
import { killQuietly } from "../../sandbox/processes.js";
import type { LibvirtStage } from "./stage.js";

interface Process {
  pid: number;
  parent: number;
  name: string;
  words: string[];
}

function processes(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const [, name = "", rest = ""] = /^\d+ \((.*)\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return [{ pid: Number(pid), parent: Number(rest.split(" ")[1]), name, words }];
      } catch {
        return []; // it has ended meanwhile
      }
    });
}

/** The script on the host first, its watchdog, and all that they have started; but not the guest, and not who signed in. */
function switchProcesses(stage: LibvirtStage): number[] {
  const all = processes();
  const [lock] = all.filter(({ name, words }) => name === "flock" && words.some((word) => word.startsWith(stage.sandbox.folder)));
  let top = lock;
  // the worker is who signed in; a script that has outlived it has the first process above it
  const isAbove = ({ pid, name }: Process) => pid === 1 || /^(sshd|python3?[.\d]*)$/.test(name);
  for (let next = top; next && !isAbove(next); next = all.find(({ pid }) => pid === next?.parent)) top = next;
  if (!top) return [];
  const found = [top.pid];
  for (const pid of found) found.push(...all.filter(({ parent }) => parent === pid).map((child) => child.pid));
  return found;
}

/** Kills the script alone: its watchdog goes on. */
export function killScript(stage: LibvirtStage): void {
  const [script] = switchProcesses(stage);
  assert(script !== undefined, "The script is not there.");
  process.kill(script, "SIGKILL");
}

/** Kills the script of a switch and its watchdog at once, as the kernel does where memory runs out. */
export async function killSwitch(stage: LibvirtStage): Promise<void> {
  const found = switchProcesses(stage);
  assert(found.length >= 3, `The script, its watchdog and its lock are not there: ${found}`);
  for (const pid of found) killQuietly(pid);
  const areGone = () => (switchProcesses(stage).length === 0 ? true : undefined);
  await until(60, areGone, () => "The switch's processes did not end.");
}
