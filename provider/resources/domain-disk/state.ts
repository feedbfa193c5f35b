/** What a DomainDisk's state says: the disk as it was last seen. Pure. */

import { z } from "zod";
import type { Properties } from "../../core/lifecycle.js";
import type { LayerReport } from "../../flows/shared/chain-report.js";
import { type DiskStatus, statusIn } from "../../flows/shared/status.js";

/** Arguments that read shows as they are, whatever was declared. */
export const shownArguments = ["storage", "base"];

const shown = z.object({
  bootPath: z.string().optional(),
  chain: z.custom<LayerReport[]>(Array.isArray).optional(),
  status: z.unknown().optional(),
  phase: z.string().optional(),
});

type Shown = Omit<z.output<typeof shown>, "status"> & { status?: DiskStatus };

/** What of the state is read again, also of one of 0.1.0, which has no status; `{}` says nothing. */
export function shownIn(properties: Properties): Shown {
  const { data } = shown.safeParse(properties);
  if (!data) return {};
  const { status: _, ...rest } = data;
  const status = statusIn(data);
  return status === undefined ? rest : { ...rest, status };
}

/** A state's outputs as this version writes them, for a guest that cannot be looked at. */
export function asWrittenNow(outputs: Properties): Properties {
  const { status } = shownIn(outputs);
  return status === undefined ? outputs : { ...outputs, status };
}
