/** The process that this code runs in, as other runs on the same machine can find it. */

import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** Names one process for good, where `machine` is known. */
export interface ProcessIdentity {
  /** Boot id and pid namespace: only inside both does a process id mean the same process. Empty where it cannot be read. */
  machine: string;
  pid: number;
  /** When it was started, so that its number used again does not pass for it. Empty where it cannot be read. */
  born: string;
}

/** That of a world: `world.one(OwnProcess)`. A simulated machine has another, by a subclass. */
export class OwnProcess {
  /** With the machine's name for people. Where `born` cannot be read nobody takes this process for gone. */
  identity(): ProcessIdentity & { name: string } {
    const birth = birthOf(process.pid);
    return { machine: thisMachine(), pid: process.pid, born: typeof birth === "object" ? birth.born : "", name: hostname() };
  }

  /** Whether another process is known to be gone; "perhaps" where this one cannot know. */
  fateOf({ machine, pid, born }: ProcessIdentity): "gone" | "alive" | "perhaps" {
    if (machine === "" || machine !== thisMachine()) return "perhaps";
    const birth = birthOf(pid);
    if (birth === "gone") return "gone";
    if (birth === "unknown" || born === "") return "perhaps";
    return birth.born === born ? "alive" : "gone";
  }
}

/** Elsewhere than on Linux nobody is ever "gone". */
function thisMachine(): string {
  try {
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return "";
  }
}

/**
 * `gone` only where the kernel says so: /proc may hide the processes of other users (hidepid in proc(5)), and a file may be unreadable for lack
 * of descriptors.
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
