/** How QEMU calls the chain of an image: by the image's own name where the headers tell the chain, else by a text of all layers. */

import { type ChainFiles, chainName, type LayerFile } from "../core/disk/chain-options.js";
import type { Host } from "../host/host.js";
import { type Deviation, deviationsIn } from "../image/chain-headers.js";
import { Unable } from "./unable.js";

/** QEMU has room for 4095 bytes (PATH_MAX; bdrv_refresh_filename() in block.c, 7.2), and adds options of its own. */
const nameBytesAtMost = 3800;

/**
 * What QEMU must be told to open below the top: what a header says never decides (decisions/0009). Nothing where the headers say the same:
 * then it goes by them, and calls the images by plain names.
 * @throws Unable if QEMU would have to be told, and cannot name so long a chain
 */
export async function toldBelow(host: Host, chain: ChainFiles): Promise<{ below?: readonly LayerFile[] }> {
  const deviations = await deviationsIn(host, chain);
  if (deviations.length === 0) return {};
  checkName(chain, deviations);
  return { below: chain.slice(1) };
}

/** @throws Unable if QEMU would have to call the chain by a text that it has no room for: it cuts that, and calls the image by the rest */
export function checkName(chain: ChainFiles, [first, ...more]: readonly Deviation[]): void {
  if (!first || isNameable(chain)) return;
  const others = more.length === 0 ? "" : ` (nor do the headers of ${more.map(({ layer }) => layer.path).join(", ")} name the chain)`;
  const told = `QEMU must be told all ${chain.length} layers, and it cannot name so long a chain (4095 bytes)`;
  throw new Unable(`the header of ${first.layer.path} ${first.why}${others}, so ${told}`, adviceFor(first));
}

function adviceFor({ layer, below }: Deviation): string {
  const backing = below ? `-F ${below.format} -b ${below.path}` : '-b ""';
  const command = `qemu-img rebase -u -f ${layer.format} ${backing} ${layer.path}`;
  return `Stop the guest, run \`${command}\` and start it again, or make the chain shorter; then run again.`;
}

/** By a text of its layers, as QEMU writes it: what is not ASCII as escapes of six bytes (qobject_to_json()). */
export function isNameable(chain: ChainFiles): boolean {
  return chainName(chain).replace(/[^ -~]/g, "\\u0000").length <= nameBytesAtMost;
}
