/** What of a domain a move would break, as libvirt tells it. A refusal is an error: nothing is concluded from what libvirt does not tell. */

import { UserError } from "../../core/errors.js";
import type { Burdens } from "../hypervisor.js";
import { domainJobIn } from "./blockers.js";
import type { DomainXml } from "./domain-xml.js";
import { blockJobIn } from "./progress.js";
import type { Virsh } from "./virsh.js";
import type { Reply } from "./virsh-session.js";
import { command } from "./words.js";

export const unreadable = "its answer is not one that this version knows";

/**
 * @throws UserError if libvirt does not tell one of them
 *
 * @host virsh snapshot-list, virsh checkpoint-list, virsh blockjob, virsh domjobinfo
 * @for libvirt
 * @does asks for snapshots, checkpoints and jobs
 * @changes nothing
 * @as libvirtd, for the account that asks
 * @why what libvirt knows of a disk by its old path keeps it from moving
 */
export async function burdensOf(virsh: Virsh, { uuid, name, disks }: DomainXml, disk: string): Promise<Burdens> {
  const [snapshots, checkpoints, job, domainJob] = await virsh.ask([
    command("snapshot-list --name", uuid),
    command("checkpoint-list --name", uuid),
    command("blockjob --raw", uuid, disk),
    command("domjobinfo", uuid),
  ]);
  const unknown = (what: string, why: string) => {
    const advice = "Look at libvirtd's log there, then run `pulumi up` again.";
    return new UserError(`Unable to ask libvirt on ${virsh.host.name} for ${what} of ${name}: ${why}. Nothing was touched. ${advice}`);
  };
  const textOf = (what: string, reply: Reply | undefined): string => {
    if (reply && "text" in reply) return reply.text;
    throw unknown(what, `libvirt answers "${reply?.refused ?? "nothing"}"`);
  };
  const typeIn = (what: string, reply: Reply | undefined, read: (text: string) => string | undefined): string => {
    const type = read(textOf(what, reply));
    if (type === undefined) throw unknown(what, unreadable);
    return type;
  };
  const xml = disks.find(({ target }) => target === disk);
  if (!xml) throw unknown(`the definition of ${disk}`, "it has no such disk any more");
  const jobs = [typeIn(`the jobs on ${disk}`, job, blockJobType), typeIn("the job", domainJob, domainJobIn)];
  return {
    snapshots: linesOf(textOf("the snapshots", snapshots)),
    checkpoints: knowsNoCheckpoints(checkpoints) ? [] : linesOf(textOf("the checkpoints", checkpoints)),
    jobs: jobs.filter((type) => type !== "None"),
    forbids: [
      ...(xml.shared ? ["it is shared with other guests (<shareable/>)"] : []),
      ...(xml.transient ? ["it is transient (<transient/>): what is written to it is thrown away"] : []),
    ],
  };
}

/** As {@link domainJobIn} tells it. */
function blockJobType(text: string): string | undefined {
  const job = blockJobIn(text);
  if (job.kind === "unreadable") return undefined;
  return job.kind === "none" ? "None" : job.type;
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}

/**
 * A libvirt before 5.6, which has no checkpoints: virsh does not know the command (vshCommandParse() in tools/vsh.c), or the driver not the
 * question (VIR_ERR_NO_SUPPORT in src/util/virerror.c, 9.0), or libvirtd not, where it is older than its virsh
 * (virNetServerProgramDispatchCall() in src/rpc/virnetserverprogram.c; the client passes its words on, virnetclientprogram.c).
 */
function knowsNoCheckpoints(reply: Reply | undefined): boolean {
  const words = reply && "refused" in reply ? reply.refused : "";
  return words === "unknown command: 'checkpoint-list'" || notSupported.test(words);
}

const notSupported = /^(this function is not supported by the connection driver|unknown procedure: \d+$)/;
