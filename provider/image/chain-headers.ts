/** Whether the headers of a chain's files name the chain that they are in. */

import { sameFile } from "../core/disk/chain.js";
import type { ChainFiles, LayerFile } from "../core/disk/chain-options.js";
import { type FileSeen, seeFiles } from "../host/file-seen.js";
import type { Host } from "../host/host.js";
import { type Header, readHeaders } from "./headers.js";
import type { ImageHeader } from "./qemu-img.js";

/** A layer whose header says something else than what it is to stand on. */
export interface Deviation {
  layer: LayerFile;
  /** Where in the chain, and what it is to stand on. */
  index: number;
  below?: LayerFile;
  /** `no-format`: it names the right file, and does not say which format that has. */
  in: "header" | "file" | "format" | "no-format";
  /** As the end of a sentence that begins with the layer's path. */
  why: string;
}

/**
 * All deviations from the top down; none where the top, opened by its header, stands on exactly this chain.
 * @param asked of how many layers, from the top, the headers are looked at
 */
export async function deviationsIn(host: Host, chain: ChainFiles, asked = chain.length): Promise<Deviation[]> {
  const headers = await readHeaders(host, chain.slice(0, asked));
  const named = headers.map((header, index) => ("why" in header ? undefined : header.backingPath) ?? chain[index]?.path ?? "");
  const files = await seeFiles(host, [...named, ...chain.map(({ path }) => path)], "follow");
  const namedBy = (index: number) => files[index];
  const there = (index: number) => files[headers.length + index];
  return headers.flatMap((header, index) => {
    const [layer, below] = [chain[index], chain[index + 1]];
    const found = deviationOf(header, below && { ...below, file: there(index + 1), named: namedBy(index) });
    return layer && found ? { layer, index, ...(below && { below }), ...found } : [];
  });
}

type Found = Pick<Deviation, "in" | "why">;

interface Below extends LayerFile {
  file: FileSeen | undefined;
  /** What the header leads to. */
  named: FileSeen | undefined;
}

function deviationOf(header: Header, below: Below | undefined): Found | undefined {
  if ("why" in header) return { in: "header", why: `cannot be read (${header.why.replace(/\.$/, "")})` };
  const { backingName } = header;
  if (!below) return backingName === undefined ? undefined : { in: "file", why: `names ${backingName} as its backing file, and has none` };
  if (backingName === undefined) return { in: "file", why: `names no backing file, and stands on ${below.path}` };
  return deviationBelow(header, below);
}

function deviationBelow({ backingName, backingFormat }: ImageHeader, below: Below): Found | undefined {
  if (!below.file || !below.named || !sameFile(below.file, below.named))
    return { in: "file", why: `names ${backingName} as its backing file, and stands on ${below.path}` };
  if (backingFormat === below.format) return undefined;
  if (backingFormat === undefined) return { in: "no-format", why: `does not say which format ${below.path} has` };
  return { in: "format", why: `says that ${below.path} has the format ${backingFormat}, and it is ${below.format}` };
}
