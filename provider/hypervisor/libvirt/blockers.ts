/** What of the domain's own state forbids that a job is begun or a switch made, as libvirt tells it. Pure. */

import { type Blocker, shutOff } from "../hypervisor.js";
import type { DomainXml } from "./domain-xml.js";
import { migratingOrRestored, noJob } from "./states.js";

/** What `virsh domjobinfo` calls the domain's job, `None` where there is none; undefined where the answer does not tell (cmdDomjobinfo(), 9.0). */
export function domainJobIn(text: string): string | undefined {
  return /^Job type: *(\S.*)$/m.exec(text)?.[1]?.trim();
}

const again = "Wait until that has ended, then run `pulumi up` again.";

/**
 * The words in parentheses of `virsh domstate --reason`: states in which the guest's memory or disks are on their way to or from another
 * QEMU, or into a file (virshDomainPausedReason and its like in tools/virsh-domain-monitor.c, libvirt 9.0).
 */
const busyReasons: Readonly<Record<string, string>> = {
  migrating: "the guest is being migrated",
  "post-copy": "the guest is being migrated (post-copy)",
  "post-copy failed": "a migration of the guest has failed half-way (post-copy)",
  "starting up": "the guest is starting, or has not come yet from another host",
  saving: "the guest is being saved to a file",
  dumping: "the guest's memory is being dumped",
  "creating snapshot": "a snapshot of the guest is being taken",
};

/** From the answers to `domstate --reason` and `domjobinfo`. */
export function blockersIn(state: string, job: string): Blocker[] {
  const reason = /\(([^()]*)\)\s*$/.exec(state)?.[1];
  if (reason === undefined) return [unreadable("its state", state)];
  if (reason === "migrated" && state.trim().startsWith("shut off"))
    return [
      {
        concerns: "guest",
        why: "this domain is the former source of a migration, and the guest runs elsewhere",
        advice: "Correct `host` and `domain`, so that they name the guest where it runs.",
      },
    ];
  const isRestored = state.trim() === migratingOrRestored && noJob.test(job);
  const busy = isRestored ? undefined : busyReasons[reason];
  if (busy !== undefined) return [{ concerns: "guest", why: `${busy} (${state.trim()})`, advice: again }];
  if (state.trim().startsWith(shutOff)) return []; // it has no jobs, and libvirt refuses the question
  const type = domainJobIn(job);
  if (type === undefined) return [unreadable("its jobs", job)];
  if (type === "None") return [];
  const operation = /^Operation: *(\S.*)$/m.exec(job)?.[1]?.trim() ?? "job";
  return [{ concerns: "guest", why: `libvirt has a job on its domain (${operation})`, advice: again }];
}

function unreadable(what: string, answer: string): Blocker {
  const why = `what libvirt says of ${what} cannot be read (${JSON.stringify(answer.trim().slice(0, 80))})`;
  return { concerns: "guest", why, advice: "Look at libvirtd's log there, then run `pulumi up` again." };
}

/** `<shareable/>`, as the domain runs now. */
export function sharingIn({ disks }: DomainXml, wanted: readonly string[]): Blocker[] {
  return disks
    .filter(({ target, shared }) => shared && wanted.includes(target))
    .map(({ target }) => ({
      concerns: "sharing",
      qdev: target,
      why: "it is shared with other guests (<shareable/>)",
      advice: "Take that out of its definition, or leave the disk where it is.",
    }));
}
