/** An image is opened with the chain that it is to stand on: what a header says never decides (decisions/0009). */

import { sameFile } from "../../core/disk/chain.js";
import { type ChainFiles, chainName, type LayerFile } from "../../core/disk/chain-options.js";
import { seeFiles } from "../../host/file-seen.js";
import type { Host } from "../../host/host.js";
import { type Deviation, deviationsIn } from "../../image/chain-headers.js";
import { complaint } from "./complaint.js";
import type { Site } from "./site.js";

/**
 * What QEMU must be told to open below the top. Nothing where the headers say the same: then it goes by them, and calls the images by
 * plain names (a `json:` name of a long chain does not fit into QEMU's 4095 bytes).
 */
export async function belowTop(site: Site, opening: Opening): Promise<{ below?: readonly LayerFile[] }> {
  const deviations = await deviationsIn(site.host, opening.chain);
  if (deviations.length === 0) return {};
  checkName(site, opening, deviations);
  return { below: opening.chain.slice(1) };
}

/** What is opened, for a refusal. */
export interface Opening {
  verb: string;
  disk: string;
  chain: ChainFiles;
  /** @default "Nothing was touched." */
  left?: string;
}

/** QEMU has room for 4095 bytes (PATH_MAX; bdrv_refresh_filename() in block.c, 7.2), and adds options of its own. */
const nameBytesAtMost = 3800;

/** @throws UserError if QEMU would have to call the chain by a text that it has no room for: it cuts that, and calls the image by the rest */
export function checkName(site: Site, { chain, ...refusal }: Opening, deviations: readonly Deviation[]): void {
  const [first, ...more] = deviations;
  if (!first || isNameable(chain)) return;
  const others = more.length === 0 ? "" : ` (nor do the headers of ${more.map(({ layer }) => layer.path).join(", ")} name the chain)`;
  const told = `QEMU must be told all ${chain.length} layers, and it cannot name so long a chain (4095 bytes)`;
  const why = `the header of ${first.layer.path} ${first.why}${others}, so ${told}`;
  throw complaint(site, { ...refusal, why, advice: adviceFor(first) });
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

/** What was opened. */
export interface Opened extends Opening {
  node: string;
}

/** @throws UserError if QEMU has another chain open below the node, file by file and format by format; the node is closed again */
export async function checkOpened(site: Site, { node, chain, ...refusal }: Opened): Promise<void> {
  const open = await site.guest.openedChain(node);
  if (await isSameChain(site.host, open, chain)) return;
  await site.guest.closeNodes([node]);
  const why = `QEMU opened ${chain[0].path} as ${chainText(open)}, and it is to be ${chainText(chain)}`;
  throw complaint(site, { ...refusal, why, advice: "See who changes these files, then run again." });
}

async function isSameChain(host: Host, open: readonly LayerFile[], chain: ChainFiles): Promise<boolean> {
  if (open.length !== chain.length || open.some(({ format }, index) => format !== chain[index]?.format)) return false;
  if (!open.every(({ path }) => isPath(path))) return false;
  const files = await seeFiles(
    host,
    [...open, ...chain].map(({ path }) => path),
    "follow",
  );
  return open.every((_, index) => {
    const [one, other] = [files[index], files[open.length + index]];
    return one !== undefined && other !== undefined && sameFile(one, other);
  });
}

/** QEMU calls an image by other texts too, as one of its chain (`json:`), which it cuts. */
function isPath(name: string): boolean {
  return name.startsWith("/") && Buffer.byteLength(name) < 4096;
}

function chainText(chain: readonly LayerFile[]): string {
  return chain.map(({ path, format }) => `${isPath(path) ? path : `${path.slice(0, 80)}…`} (${format})`).join(" ← ");
}
