/** What a resource shows of a chain. */

import type { BackingChain } from "../../core/disk/chain.js";

/** One layer, top first. */
export interface LayerReport {
  path: string;
  format: string;
  virtualBytes: number;
  /** Rounded to MiB: it changes all the time. */
  allocatedBytes: number;
}

const mib = 1024 * 1024;

export function chainReport(chain: BackingChain): LayerReport[] {
  return chain.map(({ path, format, virtualBytes, allocatedBytes }) => ({
    path,
    format,
    virtualBytes,
    allocatedBytes: Math.round(allocatedBytes / mib) * mib,
  }));
}
