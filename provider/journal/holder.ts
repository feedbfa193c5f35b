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

/** When the process was started, so that its number used again does not pass for it. */
function birthOf(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\)/s, "").trim().split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

export function newHolder(): Holder {
  return {
    run: randomBytes(8).toString("hex"),
    machine: thisMachine(),
    pid: process.pid,
    born: birthOf(process.pid) ?? "",
    name: hostname(),
  };
}

/** Whether the holder is known to be gone; "perhaps" when only its silence can tell. */
export function holderIs(holder: Holder): "gone" | "alive" | "perhaps" {
  if (holder.machine === "" || holder.machine !== thisMachine()) return "perhaps";
  return birthOf(holder.pid) === holder.born ? "alive" : "gone";
}
