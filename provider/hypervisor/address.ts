/** The `domain` and `disk` arguments: which guest, and which of its disks. */

import { z } from "zod";
import { surelyDiffer } from "../arguments.js";
import { absolutePath } from "../disk/paths.js";
import type { Properties } from "../lifecycle.js";

const oneDomain = 'domain is { qmp: "/path/of/the/monitor.sock" }';

export const domainArgs = z.strictObject(
  {
    /**
     * Path, on the host, of the guest's QMP monitor socket (`-qmp unix:…,server=on,wait=off`). It serves one client at a time: give us one of our own.
     * @throws UserError when connecting, if nobody listens there
     * @see QEMU, docs/interop/qmp-spec.rst
     */
    qmp: absolutePath("domain.qmp"),
  },
  { error: (issue) => (issue.code === "unrecognized_keys" ? `domain has no argument ${issue.keys?.join(", ")}: ${oneDomain}` : oneDomain) },
);

export type DomainArgs = z.output<typeof domainArgs>;

/** A disk of a guest, by any of its names. */
export const diskName = z
  .string({ error: "disk is a text: the device's id, QOM path, drive id or serial" })
  .min(1, { error: "disk is empty: name the device's id, QOM path, drive id or serial" })
  .refine((name) => !name.startsWith("#"), {
    error: "a #block node name changes with every start of the guest: name the device's id, QOM path, drive id or serial",
  });

const place = z.object({ address: z.string(), port: z.number().default(22) });

/** Which of the arguments that say *which guest of which host* differ. How the host is reached changes in place. */
export function placeChanged(olds: Properties, news: Properties): string[] {
  const before = place.safeParse(olds.host).data;
  const now = place.safeParse(news.host).data;
  const changed = before && now && surelyDiffer(before, now) ? ["host"] : [];
  return surelyDiffer(olds.domain, news.domain) ? [...changed, "domain"] : changed;
}
