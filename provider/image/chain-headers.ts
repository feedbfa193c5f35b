/** Whether the headers of a chain's files name the chain that they are in. */

import { sameFile } from "../core/disk/chain.js";
import type { ChainFiles, LayerFile } from "../core/disk/chain-options.js";
import { type FileStat, statFiles } from "../host/files.js";
import type { Host } from "../host/host.js";
import { type Header, readHeaders } from "./headers.js";
import type { ImageHeader } from "./qemu-img.js";

/** A layer whose header says something else than what it is to stand on. */
export interface Deviation {
  layer: LayerFile;
  /** `no-format`: it names the right file, and does not say which format that has. */
  in: "header" | "file" | "format" | "no-format";
  /** As the end of a sentence that begins with the layer's path. */
  why: string;
}

/** The first deviation from the top down; undefined where whoever opens the top by its header gets exactly this chain. */
export async function deviationIn(host: Host, chain: ChainFiles): Promise<Deviation | undefined> {
  const headers = await readHeaders(host, chain);
  const named = headers.map((header, index) => ("why" in header ? undefined : header.backingPath) ?? chain[index]?.path ?? "");
  const files = await statFiles(host, [...named, ...chain.map(({ path }) => path)], "follow");
  const namedBy = (index: number) => files[index];
  const there = (index: number) => files[chain.length + index];
  for (const [index, layer] of chain.entries()) {
    const below = chain[index + 1];
    const header = headers[index] ?? { why: "its header was not read" };
    const found = deviationOf(header, below && { ...below, file: there(index + 1), named: namedBy(index) });
    if (found) return { layer, ...found };
  }
  return undefined;
}

interface Below extends LayerFile {
  file: FileStat | undefined;
  /** What the header leads to. */
  named: FileStat | undefined;
}

function deviationOf(header: Header, below: Below | undefined): Omit<Deviation, "layer"> | undefined {
  if ("why" in header) return { in: "header", why: `cannot be read (${header.why.replace(/\.$/, "")})` };
  const { backingName } = header;
  if (!below) return backingName === undefined ? undefined : { in: "file", why: `names ${backingName} as its backing file, and has none` };
  if (backingName === undefined) return { in: "file", why: `names no backing file, and stands on ${below.path}` };
  return deviationBelow(header, below);
}

function deviationBelow({ backingName, backingFormat }: ImageHeader, below: Below): Omit<Deviation, "layer"> | undefined {
  if (!below.file || !below.named || !sameFile(below.file, below.named))
    return { in: "file", why: `names ${backingName} as its backing file, and stands on ${below.path}` };
  if (backingFormat === below.format) return undefined;
  if (backingFormat === undefined) return { in: "no-format", why: `does not say which format ${below.path} has` };
  return { in: "format", why: `says that ${below.path} has the format ${backingFormat}, and it is ${below.format}` };
}
