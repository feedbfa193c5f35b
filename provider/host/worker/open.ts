/** The worker over SSH: one session of the host's connection. */

import type { Credentials } from "../host.js";
import { awake } from "../pool.js";
import { ScriptSession } from "../script-session.js";
import { type HostArgs, hostName } from "../target.js";
import { startScript, workerProgram } from "./program.js";
import { startWorker } from "./start.js";
import type { Worker } from "./worker.js";

/**
 * With `privilege: "sudo"` it is started by `sudo -n sh`, the command that sudoers files name.
 * @throws UserError if the account has no shell, sudo refuses, or the host has no python 3.6 or newer
 * @throws UnreachableError if the host does not answer, has no session free, or the program does not begin
 */
export async function openWorker(target: HostArgs, credentials: Credentials): Promise<Worker> {
  const { connection, sessions } = await awake(target, credentials);
  const { user, privilege } = target;
  const session = await ScriptSession.start({ connection, sessions, user, privilege }, startScript, [workerProgram().boot]);
  return startWorker({ hostName: hostName(target), stream: session.channel, stderr: () => session.complaints });
}
