/** Who holds a lock: a run, in a process, on a machine; and whether that process is known to be gone. */

import { z } from "zod";
import type { World } from "../core/world.js";
import { OwnProcess } from "../host/own-process.js";

export const holderSchema = z.object({ run: z.string(), machine: z.string(), pid: z.int(), born: z.string(), name: z.string() });
/** Who holds a lock: this run, on this machine, in this process. */
export type Holder = z.output<typeof holderSchema>;

export function newHolder(world: World): Holder {
  return { run: world.token(8), ...world.one(OwnProcess).identity() };
}

/** Whether the holder is known to be gone; "perhaps" when only its silence can tell. */
export function holderIs(world: World, holder: Holder): "gone" | "alive" | "perhaps" {
  return world.one(OwnProcess).fateOf(holder);
}
