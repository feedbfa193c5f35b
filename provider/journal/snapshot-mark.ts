/** Whether a mirrored snapshot lasts on a disk. Its manifest has the name of a move's, so that neither begins while the other lasts. */

import { z } from "zod";
import { type DiskKey, fileNames } from "../core/disk/names.js";
import { within } from "../core/disk/paths.js";
import { parseJson } from "../core/json.js";
import type { Host } from "../host/host.js";
import { readManifestText } from "./manifest-text.js";

/** What a move must know of it. */
export interface SnapshotMark {
  file: string;
  mirror: string;
}

const mark = z.object({ file: z.object({ path: z.string() }), mirror: z.object({ path: z.string() }) });

/** Whether a manifest's text is one of a mirrored snapshot, by whatever version, and even if its end is missing. */
export function isSnapshotText(text: string): boolean {
  return /^\s*\{\s*"kind":\s*"mirrored-snapshot"/.test(text);
}

/** The mirrored snapshot whose manifest lies in one of the directories. */
export async function readSnapshotMark(host: Host, key: DiskKey, directories: readonly string[]): Promise<SnapshotMark | undefined> {
  for (const directory of new Set(directories)) {
    const path = within(directory, fileNames.manifest(key));
    const text = await readManifestText(host, key, directory);
    if (text !== undefined && isSnapshotText(text)) return markOf(text) ?? { file: path, mirror: path };
  }
  return undefined;
}

function markOf(text: string): SnapshotMark | undefined {
  const known = mark.safeParse(parseJson(text)).data;
  return known && { file: known.file.path, mirror: known.mirror.path };
}

/** For refusals: what lasts, and how it ends. */
export function snapshotLasts({ file, mirror }: SnapshotMark): string {
  return `it is in a mirrored snapshot (${file}, mirrored to ${mirror}). End that first: set its \`onDelete\`, then delete it`;
}
