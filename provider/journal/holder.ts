/** Who holds a lock: a run, in a process, on a machine; and whether that process is known to be gone. */

import { randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { z } from "zod";

export const holderSchema = z.object({ run: z.string(), machine: z.string(), pid: z.int(), born: z.string(), name: z.string() });
/** Who holds a lock: this run, on this machine, in this process. */
export type Holder = z.output<typeof holderSchema>;

/** `boot id` and `pid namespace`: only inside both does a process id mean the same process. Elsewhere than on Linux nobody is ever "gone". */
function thisMachine(): string {
  try {
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return "";
  }
}

/**
 * When the process was started, so that its number used again does not pass for it. `gone` only where the kernel says so: /proc may hide the
 * processes of other users (hidepid in proc(5)), and a file may be unreadable for lack of descriptors.
 */
function birthOf(pid: number): { born: string } | "gone" | "unknown" {
  try {
    const [state, ...fields] = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\)/s, "").trim().split(" ");
    const born = fields[18];
    if (state === "Z") return "gone";
    return born === undefined ? "unknown" : { born };
  } catch {
    return isThere(pid) ? "unknown" : "gone";
  }
}

/** @see kill(2): ESRCH, and no other error, says that there is no such process */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return !(cause instanceof Error && "code" in cause && cause.code === "ESRCH");
  }
}

/** Empty where it cannot be read: then nobody takes this run for gone. */
function ownBirth(): string {
  const birth = birthOf(process.pid);
  return typeof birth === "object" ? birth.born : "";
}

export function newHolder(): Holder {
  return {
    run: randomBytes(8).toString("hex"),
    machine: thisMachine(),
    pid: process.pid,
    born: ownBirth(),
    name: hostname(),
  };
}

/** Whether the holder is known to be gone; "perhaps" when only its silence can tell. */
export function holderIs(holder: Holder): "gone" | "alive" | "perhaps" {
  if (holder.machine === "" || holder.machine !== thisMachine()) return "perhaps";
  const birth = birthOf(holder.pid);
  if (birth === "gone") return "gone";
  if (birth === "unknown" || holder.born === "") return "perhaps";
  return birth.born === holder.born ? "alive" : "gone";
}
