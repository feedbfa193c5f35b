/** The headers of many images in one round trip. */

import { z } from "zod";
import { parseJson } from "../core/json.js";
import type { Host } from "../host/host.js";
import { headerOf, headerReply, type ImageHeader } from "./qemu-img.js";

export interface NamedImage {
  path: string;
  /** Never guessed: what a guest wrote into a raw image must not pass for a header. */
  format: string;
}

/** For each image its header, and with `whole chains` those of the layers that it names below it; or why they cannot be read. */
export type Headers = readonly ImageHeader[] | { why: string };

/**
 * One line an image. qemu-img's own JSON has no line break within its texts.
 *
 * @host qemu-img, tr
 * @for reading
 * @does `info -U`: reads the headers of images, the first of a chain by a format that is given; whole chains only of guests that do not
 *   run
 * @changes nothing
 * @as the account
 * @why the layers of a chain
 */
const script = `how=$1; shift # empty, or one option
while [ $# -gt 1 ]; do
  if answer=$(qemu-img info -U $how -f "$2" --output=json -- "$1" 2>&1); then printf '='; else printf '!'; fi
  printf '%s' "$answer" | tr '\\n' ' '; echo
  shift 2
done`;

/** Reads images also while a guest has them open; of a running guest's chain each layer by itself, since the guest decides what is below. */
export async function readHeaders(host: Host, images: readonly NamedImage[], depth: "single layers" | "whole chains"): Promise<Headers[]> {
  if (images.length === 0) return [];
  const args = images.flatMap(({ path, format }) => [path, format]);
  const how = depth === "whole chains" ? "--backing-chain" : "";
  const { stdout } = await host.run(script, [how, ...args], { timeoutSeconds: 120 });
  const lines = stdout.split("\n");
  return images.map((image, index) => headersIn(lines[index] ?? "", image));
}

function headersIn(line: string, { path }: NamedImage): Headers {
  const why =
    line
      .slice(1)
      .replace(/^qemu-img: /, "")
      .trim() || "qemu-img did not answer";
  if (!line.startsWith("=")) return { why };
  const said = z.union([z.array(named), named.transform((one) => [one])]).safeParse(parseJson(line.slice(1)));
  if (!said.success) return { why: `qemu-img said what we cannot read (${z.prettifyError(said.error)})` };
  return said.data.map((one, index) => headerOf(index === 0 ? path : one.filename, one));
}

const named = headerReply.extend({ filename: z.string() });
