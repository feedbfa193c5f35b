/** The worker over SSH: one session of the host's connection. */

import { type Account, ScriptSession } from "./script-session.js";
import { startScript, workerProgram } from "./worker/program.js";
import { startWorker } from "./worker/start.js";
import type { Worker } from "./worker/worker.js";

/**
 * With `privilege: "sudo"` it is started by `sudo -n sh`, the command that sudoers files name.
 * @throws UserError if the account has no shell, sudo refuses, or the host has no python 3.6 or newer
 * @throws UnreachableError if the host does not answer, has no session free, or the program does not begin
 */
export async function openWorker(account: Account): Promise<Worker> {
  const session = await ScriptSession.start(account, startScript, [workerProgram().boot]);
  const { waits, name } = account.connection;
  return startWorker({
    hostName: name,
    stream: session.channel,
    stderr: () => session.complaints,
    broken: () => waits.broken,
  });
}
