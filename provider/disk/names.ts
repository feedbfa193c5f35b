/** Names that we give: to nodes, jobs and files. All derive from (domain id, qdev), so that a later run finds them again. */

import { createHash } from "node:crypto";

/** Eight hex digits that stand for one disk of one domain; the same in every run. */
export type DiskKey = string;

/** `qdev` is the name that QEMU itself reports for the device, never the user's spelling. */
export function diskKey(domainId: string, qdev: string): DiskKey {
  return createHash("sha256").update(`${domainId}\0${qdev}`).digest("hex").slice(0, 8);
}

/** Node names and job ids of one disk. At most 31 bytes: QEMU refuses 32 ("Node name too long"). */
export const nodeNames = {
  target: (key: DiskKey) => `lm-${key}-tgt`,
  targetFile: (key: DiskKey) => `lm-${key}-tgt-file`,
  filter: (key: DiskKey) => `lm-${key}-flt`,
  probe: (key: DiskKey) => `lm-${key}-probe`,
  /** A lower layer of the target chain opened read-only by itself while it is compared; `index` counts from the layer below the active one. */
  held: (key: DiskKey, index: number) => `lm-${key}-held-${index}`,
};

export const jobNames = { mirror: (key: DiskKey) => `lm-${key}-mirror` };

/** Files of one move, beside the images. */
export const fileNames = {
  manifest: (key: DiskKey) => `lm-${key}.manifest.json`,
  lock: (key: DiskKey) => `lm-${key}.lock`,
  probe: (key: DiskKey) => `lm-${key}.probe`,
  /** The sidecar of a lower layer that we copied: who stands on it. */
  sidecar: (layerName: string) => `${layerName}.lm-layer`,
};

/** `2026-03-01T10:20:30Z` as it stands in a quarantined file's name: no colon, sortable. */
export function quarantineName(name: string, key: DiskKey, at: Date): string {
  const utc = at.toISOString().replace(/[-:]/g, "").replace(/\.\d+/, "");
  return `${name}.lm-${key}-${utc}`;
}

/** Whether a node or job name is one that we gave, for any disk. */
export function isOurs(name: string): boolean {
  return /^lm-[0-9a-f]{8}-/.test(name);
}
