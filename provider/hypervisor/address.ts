/** The `domain` and `disk` arguments: which guest, and which of its disks. */

import { z } from "zod";
import { surelyDiffer } from "../core/arguments.js";
import { absolutePath } from "../core/disk/paths.js";
import type { Properties } from "../core/lifecycle.js";

const oneDomain = 'domain is { qmp: "/path/of/the/monitor.sock" }, or { libvirt: "name" }';

const strict = (issue: { code?: string; keys?: string[] }) =>
  issue.code === "unrecognized_keys" ? `domain has no argument ${issue.keys?.join(", ")}: ${oneDomain}` : oneDomain;

const plainGuest = z.strictObject(
  {
    /**
     * Path, on the host, of the guest's QMP monitor socket (`-qmp unix:…,server=on,wait=off`). It serves one client at a time: give us one of our own.
     * @throws UserError when connecting, if nobody listens there
     * @see QEMU, docs/interop/qmp-spec.rst
     */
    qmp: absolutePath("domain.qmp"),
  },
  { error: strict },
);

const managedGuest = z.strictObject(
  {
    /**
     * Name or UUID of a domain of libvirt's.
     * @throws UserError when looking, if there is no such domain
     */
    libvirt: z.string({ error: "domain.libvirt is a domain's name" }).min(1, { error: "domain.libvirt is empty: name the domain" }),
    /**
     * Where libvirt is, as seen from the host.
     * @default "qemu:///system"
     * @throws UserError if it is no URI of QEMU's
     * @see https://libvirt.org/uri.html
     */
    uri: z
      .string({ error: 'domain.uri is a text such as "qemu:///system"' })
      .regex(/^qemu[+:]/, { error: 'domain.uri is libvirt\'s URI of QEMU, such as "qemu:///system" or "qemu:///session"' })
      .default("qemu:///system"),
  },
  { error: strict },
);

/** Which of the two it is, is told by the key that it has; so that what is wrong with it is told in that one's words. */
export const domainArgs = z.union([plainGuest, managedGuest], {
  error: (issue) => {
    const libvirt = typeof issue.input === "object" && issue.input !== null && "libvirt" in issue.input;
    const issues = issue.code === "invalid_union" ? issue.errors?.[libvirt ? 1 : 0] : undefined;
    return issues?.[0]?.message ?? oneDomain;
  },
});

export type DomainArgs = z.output<typeof domainArgs>;

/** Whether a `domain` argument names a domain of libvirt's, as far as it is known. */
export function isManaged(domain: unknown): boolean {
  return typeof domain === "object" && domain !== null && "libvirt" in domain;
}

/** A disk of a guest, by any of its names. */
export const diskName = z
  .string({ error: "disk is a text: the device's id, QOM path, drive id or serial" })
  .min(1, { error: "disk is empty: name the device's id, QOM path, drive id or serial" })
  .refine((name) => !name.startsWith("#"), {
    error: "a #block node name changes with every start of the guest: name the device's id, QOM path, drive id or serial",
  });

/** Either may be the mark of a value that is not known yet, which is a text. */
const place = z.object({ address: z.string(), port: z.union([z.number(), z.string()]).default(22) });

/** Which of the arguments that say *which guest of which host* differ. How the host is reached changes in place. */
export function placeChanged(olds: Properties, news: Properties): string[] {
  const before = place.safeParse(olds.host).data;
  const now = place.safeParse(news.host).data;
  const changed = before && now && surelyDiffer(before, now) ? ["host"] : [];
  return surelyDiffer(olds.domain, news.domain) ? [...changed, "domain"] : changed;
}
