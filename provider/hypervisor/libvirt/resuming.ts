/** Resumes a guest that a switch has left suspended, since the program on the host was killed, and ends the record of that. */

import { UserError } from "../../core/errors.js";
import { isSuspended, noJob } from "./states.js";
import { endLine } from "./suspension.js";
import type { Virsh } from "./virsh.js";
import type { Reply } from "./virsh-session.js";
import { command } from "./words.js";

/**
 * Resumes a guest that is recorded as suspended, until libvirt says that it runs, or has stopped by itself since; then ends the record.
 * What a resume answers is not believed, and its failure is not a refusal. A guest on which libvirt has a job is left to that.
 * @param deadline by the world's clock; after it nothing is begun. It should be minutes away: libvirt itself gives up after 30 s if
 *   somebody else's question keeps QEMU busy (QEMU_JOB_WAIT_TIME, 9.0)
 * @returns the state, in libvirt's words
 * @throws UserError with libvirt's words, if it is suspended still @throws UnreachableError if libvirtd does not answer
 *
 * @host virsh blockjob, virsh domjobinfo, virsh domstate
 * @for libvirt
 * @does asks for jobs and state
 * @changes nothing
 * @as libvirtd, for the account that asks
 * @why a guest is resumed only while libvirt has no job on it
 * @host virsh resume, virsh metadata
 * @for switching
 * @does resumes a guest that a switch has left suspended, and removes our element from its metadata
 * @changes the guest runs; the metadata of the running domain
 * @why the program on the host that had suspended it was killed
 */
export async function letGo(virsh: Virsh, domain: string, { disk, deadline }: { disk: string; deadline: number }): Promise<string> {
  const { world } = virsh.host;
  let said = "";
  for (;;) {
    // libvirt answers the first only when it has done with QEMU what others have asked; one that has just come up tells a state from its status file
    const questions = [command("blockjob --raw", domain, disk), command("domjobinfo", domain), command("domstate --reason", domain)];
    const [waited, job, state] = await virsh.ask(questions);
    said = textOf(state)?.trim() ?? "";
    if (said.startsWith("shut off")) return said;
    const isSure = textOf(waited) !== undefined && said !== "";
    if (world.clock() > deadline) throw refused(virsh, said, [waited, state]);
    if (isSure && !isSuspended(said)) break;
    const [resumed] = isSure && noJob.test(textOf(job) ?? "") ? await virsh.ask([command("resume", domain)]) : [];
    if (resumed && textOf(resumed) !== undefined) continue;
    if (world.clock() > deadline) throw refused(virsh, said, [resumed, waited, state]);
    await world.sleep(1);
  }
  const [ended] = await virsh.ask([endLine(domain)]);
  if (textOf(ended) === undefined) throw refused(virsh, said, [ended]);
  return said;
}

function textOf(reply: Reply | undefined): string | undefined {
  return reply && "text" in reply ? reply.text : undefined;
}

function refused({ host }: Virsh, state: string, replies: readonly (Reply | undefined)[]): UserError {
  const words = replies.flatMap((reply) => (reply && "refused" in reply ? [reply.refused] : []));
  return new UserError(`Unable to resume the guest on ${host.name}: libvirt answers "${words.join("; ") || `its domain is ${state}`}".`);
}
