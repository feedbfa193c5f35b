/** The headers of many images, a round trip for each level of their chains. */

import { z } from "zod";
import type { LayerFile } from "../core/disk/chain-options.js";
import { parseJson } from "../core/json.js";
import type { Host } from "../host/host.js";
import { headerOf, headerReply, type ImageHeader } from "./qemu-img.js";

/** An image's header, or why it cannot be read. */
export type Header = ImageHeader | { why: string };

/** The headers of a chain, or why one of them cannot be read. */
export type Headers = readonly ImageHeader[] | { why: string };

/**
 * One line an image. qemu-img's own JSON has no line break within its texts.
 *
 * @host qemu-img, tr
 * @for reading
 * @does `info -U`: reads the headers of images that are regular files, each by itself and by a format that is given
 * @changes nothing
 * @as the account
 * @why the layers of a chain
 */
const script = `while [ $# -gt 1 ]; do
  if [ -e "$1" ] && [ ! -f "$1" ]; then
    printf '!it is not a regular file'
  else
    if answer=$(qemu-img info -U -f "$2" --output=json -- "$1" 2>&1); then printf '='; else printf '!'; fi
    printf '%s' "$answer" | tr '\\n' ' '
  fi
  echo
  shift 2
done`;

/** Each image by itself, also while a guest has it open. Never by a guessed format: what a guest wrote into a raw image must not pass for a header. */
export async function readHeaders(host: Host, images: readonly LayerFile[]): Promise<Header[]> {
  if (images.length === 0) return [];
  const args = images.flatMap(({ path, format }) => [path, format]);
  const { stdout } = await host.run(script, args, { timeoutSeconds: 120 });
  const lines = stdout.split("\n");
  return images.map((image, index) => headerIn(lines[index] ?? "", image));
}

function headerIn(line: string, { path }: LayerFile): Header {
  const words = line.slice(1).replace(/^qemu-img: /, "");
  if (!line.startsWith("=")) return { why: words.trim() || "qemu-img did not answer" };
  const said = headerReply.safeParse(parseJson(line.slice(1)));
  return said.success ? headerOf(path, said.data) : { why: `qemu-img said what we cannot read (${z.prettifyError(said.error)})` };
}

/** More would be a chain that leads back to itself under ever other names. */
const layersAtMost = 200;

/** A chain of which the first layers are read. */
interface Reading {
  read: ImageHeader[];
  next?: LayerFile;
  why?: string;
}

/** The chains of images that nobody has open, so that only headers tell. A header that does not name file and format leads nowhere: neither is guessed. */
export async function readChains(host: Host, tops: readonly LayerFile[]): Promise<Headers[]> {
  const chains = tops.map((next): Reading => ({ read: [], next }));
  for (;;) {
    const images = chains.flatMap(({ next }) => next ?? []);
    if (images.length === 0) return chains.map(({ read, why }) => (why === undefined ? read : { why }));
    const headers = await readHeaders(host, images);
    for (const chain of chains) if (chain.next) goOn(chain, headers.shift() ?? { why: "its header was not read" });
  }
}

function goOn(chain: Reading, header: Header): void {
  const at = chain.next?.path;
  delete chain.next;
  if ("why" in header) {
    chain.why = chain.read.length === 0 ? header.why : `${at}: ${header.why}`;
    return;
  }
  chain.read.push(header);
  const below = layerBelow(header);
  if (below === undefined) return;
  if ("why" in below) chain.why = below.why;
  else if (chain.read.length >= layersAtMost || chain.read.some(({ path }) => path === below.path))
    chain.why = `its chain leads back to ${below.path}`;
  else chain.next = below;
}

function layerBelow({ path, backingName, backingPath, backingFormat }: ImageHeader): LayerFile | { why: string } | undefined {
  if (backingName === undefined) return undefined;
  if (!backingPath?.startsWith("/"))
    return { why: `the header of ${path} names ${backingName} as its backing file, which is not the path of a file` };
  if (backingFormat === undefined) return { why: `the header of ${path} does not say which format its backing file ${backingPath} has` };
  return { path: backingPath, format: backingFormat };
}
