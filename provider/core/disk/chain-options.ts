/** A chain as QEMU and qemu-img are told to open it: by names and formats that we know, whatever a header says. Pure. */

/** One file of a chain, and what it is read as. */
export interface LayerFile {
  path: string;
  format: string;
}

/** Never empty, top first. */
export type ChainFiles = readonly [LayerFile, ...LayerFile[]];

/**
 * Options of the top's node with all that is below it. The lowest qcow2 is told that it stands on nothing.
 * @see QEMU QMP reference, BlockdevOptions
 */
export function chainOptions([{ path, format }, next, ...rest]: ChainFiles): Record<string, unknown> {
  const file = { driver: "file", filename: path };
  if (format === "raw") return { driver: format, file };
  return { driver: format, file, backing: next ? chainOptions([next, ...rest]) : null };
}

/** The same as a file name for qemu-img. */
export function chainName(chain: ChainFiles): string {
  return `json:${JSON.stringify(chainOptions(chain))}`;
}
