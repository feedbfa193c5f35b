/** The faults themselves: signals and cut connections, all from outside. */

import type { Passing } from "../sandbox/gate.js";
import { killQuietly } from "../sandbox/processes.js";
import type { Arena } from "./arena.js";
import type { Fault } from "./points.js";

/** Makes the fault. @returns what becomes of the command that was under way, or of its answer */
export async function strike(fault: Fault, arena: Arena, command: Passing): Promise<"goes on" | "lost" | "cut"> {
  const { stage } = arena;
  switch (fault) {
    case "provider-killed":
      arena.signalProviders("SIGKILL", "processes");
      return whenClientIsGone(command);
    case "ssh-cut":
      for (const pid of await stage.sandbox.sshd.sessionPids()) killQuietly(pid);
      return whenClientIsGone(command);
    case "qmp-cut":
      stage.proxy.cutAll();
      return command.road === "qmp" ? "cut" : "goes on";
    case "interrupted":
      arena.signalProviders("SIGINT", "groups");
      return "goes on";
    case "qemu-killed":
      await stage.guest.kill();
      return command.road === "qmp" ? "cut" : "goes on";
  }
}

/** What goes to QEMU was sent by the host's worker, which lives until it sees the end of its input. */
function whenClientIsGone({ road }: Passing): "goes on" | "lost" {
  return road === "qmp" ? "goes on" : "lost";
}
