/** The faults themselves: signals and cut connections, all from outside. */

import type { Passing } from "../sandbox/gate.js";
import type { Arena } from "./arena.js";
import type { Fault } from "./points.js";

/** Makes the fault. @returns what becomes of the command that was under way, or of its answer */
export async function strike(fault: Fault, arena: Arena, command: Passing): Promise<"goes on" | "lost" | "cut"> {
  const { stage, providers } = arena;
  switch (fault) {
    case "provider-killed":
      for (const pid of providers) signal(pid, "SIGKILL");
      return whenClientIsGone(command);
    case "ssh-cut":
      for (const pid of await stage.sandbox.sshd.sessionPids()) signal(pid, "SIGKILL");
      return whenClientIsGone(command);
    case "qmp-cut":
      stage.proxy.cutAll();
      return command.road === "qmp" ? "cut" : "goes on";
    case "interrupted":
      for (const pid of providers) signal(-pid, "SIGINT");
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

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (thrown) {
    // the providers of an operation's refresh may have ended before
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "ESRCH")) throw thrown;
  }
}
