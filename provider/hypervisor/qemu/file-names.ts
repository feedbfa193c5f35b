/** QEMU's names for what a node stands for: a plain path, or a `json:` text of options where a path does not say it all. */

import { z } from "zod";
import { parseJson } from "../../core/json.js";

/** Options of one node; those of its child are nested, or flat with a dot (`file.filename`). */
const options = z.record(z.string(), z.unknown());
type Options = z.output<typeof options>;

/** A chain's file: a path, or why there is none. */
export type FileName = { path: string } | { why: string };

/**
 * What an image's name says about its file. A plain name is taken as a path: whether its protocol is `file` only the nodes tell.
 * @see block.c: bdrv_refresh_filename(), QEMU 7.2: `json:` is used where a node was opened with options that a name cannot hold
 */
export function readFileName(name: string): FileName {
  if (!name.startsWith("json:")) return { path: name.replace(/^blkdebug:[^:]*:/, "") };
  const known = options.safeParse(parseJson(name.slice("json:".length)));
  if (!known.success) return { why: `QEMU names it ${name}` };
  return fileOf(nested(known.data), "format");
}

function fileOf(node: Options, place: "format" | "below"): FileName {
  const driver = String(node.driver ?? "");
  if (driver === "file") return typeof node.filename === "string" ? { path: node.filename } : { why: "its file has no name" };
  if (driver === "raw" && ("offset" in node || "size" in node)) return { why: "it is a slice of a file" };
  const child = options.safeParse(node.file ?? node.image);
  if (!child.success) return { why: `it lies on ${driver || "something without a driver"}` };
  // A filter below the format, such as a throttle, would be lost in the move; blkdebug is only there to make faults.
  if (place === "below" && driver !== "blkdebug") return { why: `there is a ${driver} node between the image and its file` };
  return fileOf(nested(child.data), "below");
}

/** `{"file.driver": "file"}` as `{"file": {"driver": "file"}}`. */
function nested(flat: Options): Options {
  const deep: Options = {};
  for (const [key, value] of Object.entries(flat)) {
    const [child, ...rest] = key.split(".");
    if (child === undefined || rest.length === 0) deep[key] = value;
    else deep[child] = { ...options.catch({}).parse(deep[child]), [rest.join(".")]: value };
  }
  return deep;
}
