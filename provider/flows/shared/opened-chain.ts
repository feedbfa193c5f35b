/** An image is opened with the chain that it is to stand on: what a header says never decides (decisions/0009). */

import { sameFile } from "../../core/disk/chain.js";
import type { ChainFiles, LayerFile } from "../../core/disk/chain-options.js";
import { statFiles } from "../../host/files.js";
import type { Host } from "../../host/host.js";
import { deviationIn } from "../../image/chain-headers.js";
import { complaint } from "./complaint.js";
import type { Site } from "./site.js";

/**
 * What QEMU must be told to open below the top. Nothing where the headers say the same: then it goes by them, and calls the images by
 * plain names (a `json:` name of a long chain does not fit into QEMU's 4095 bytes).
 */
export async function belowTop(host: Host, chain: ChainFiles): Promise<{ below?: readonly LayerFile[] }> {
  const deviation = await deviationIn(host, chain);
  return deviation === undefined ? {} : { below: chain.slice(1) };
}

/** What was opened, for a refusal. */
export interface Opened {
  disk: string;
  node: string;
  chain: ChainFiles;
  left: string;
}

/** @throws UserError if QEMU has another chain open below the node, file by file and format by format; the node is closed again */
export async function checkOpened(site: Site, { disk, node, chain, left }: Opened): Promise<void> {
  const open = await site.guest.openedChain(node);
  if (await isSameChain(site.host, open, chain)) return;
  await site.guest.closeNodes([node]);
  const why = `QEMU opened ${chain[0].path} as ${chainText(open)}, and it is to be ${chainText(chain)}`;
  throw complaint(site, { verb: "move", disk, why, left, advice: "See who changes these files, then run `pulumi up` again." });
}

async function isSameChain(host: Host, open: readonly LayerFile[], chain: ChainFiles): Promise<boolean> {
  if (open.length !== chain.length || open.some(({ format }, index) => format !== chain[index]?.format)) return false;
  const files = await statFiles(
    host,
    [...open, ...chain].map(({ path }) => path),
    "follow",
  );
  return open.every((_, index) => {
    const [one, other] = [files[index], files[open.length + index]];
    return one !== undefined && other !== undefined && sameFile(one, other);
  });
}

function chainText(chain: readonly LayerFile[]): string {
  return chain.map(({ path, format }) => `${path} (${format})`).join(" ← ");
}
