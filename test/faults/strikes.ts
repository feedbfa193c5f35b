/** The faults themselves: signals and cut connections, all from outside. */

import type { Passing } from "../sandbox/gate.js";
import { killQuietly } from "../sandbox/processes.js";
import type { Arena } from "./arena.js";
import type { Fault } from "./points.js";
import type { Fate } from "./trap.js";

export async function strike(fault: Fault, arena: Arena): Promise<void> {
  const { stage } = arena;
  switch (fault) {
    case "provider-killed":
      arena.signalProviders("SIGKILL", "processes");
      return;
    case "ssh-cut":
      for (const pid of await stage.sandbox.sshd.sessionPids()) killQuietly(pid);
      return;
    case "qmp-cut":
      stage.proxy.cutAll();
      return;
    case "interrupted":
      arena.signalProviders("SIGINT", "groups");
      return;
    case "qemu-killed":
      await stage.guest.kill();
      return;
  }
}

/** What becomes of a command that was under way, or of its answer. */
export function fateOf(fault: Fault, { road }: Passing): Fate {
  switch (fault) {
    case "provider-killed":
    case "ssh-cut":
      // what goes to QEMU was sent by the host's worker, which lives until it sees the end of its input
      return road === "qmp" ? "goes on" : "lost";
    case "qmp-cut":
    case "qemu-killed":
      return road === "qmp" ? "cut" : "goes on";
    case "interrupted":
      return "goes on";
  }
}
