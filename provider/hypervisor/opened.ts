/** What QEMU has open is compared with what it is to have open, before anything is written to it: names and headers may lead elsewhere by then. */

import { sameFile } from "../core/disk/chain.js";
import type { ChainFiles, LayerFile } from "../core/disk/chain-options.js";
import { seeFiles } from "../host/file-seen.js";
import type { Host } from "../host/host.js";
import type { GraphGuest, Made } from "./hypervisor.js";
import { Unable } from "./unable.js";

/** @throws Unable if QEMU has another chain open below the node, file by file and format by format; the node is closed again */
export async function checkOpenedChain({ host, guest }: { host: Host; guest: GraphGuest }, node: string, chain: ChainFiles): Promise<void> {
  const open = await guest.graph.openedChain(node);
  if (await isSameChain(host, open, chain)) return;
  await guest.closeNodes([node]);
  const why = `QEMU opened ${chain[0].path} as ${chainText(open)}, and it is to be ${chainText(chain)}`;
  throw new Unable(why, "See who changes these files, then run again.");
}

/** @throws Unable if QEMU has another file open as `path` than the one that was made there; the node is closed again */
export async function checkOpenedFile(
  guest: GraphGuest,
  { node, path }: { node: string; path: string },
  made: Made | undefined,
): Promise<void> {
  if (!made) return;
  const process = await guest.process();
  if (!process || process.openFiles.has(`${made.dev}:${made.ino}`)) return; // where the host hides the process, nothing tells
  await guest.closeNodes([node]);
  await guest.jobs(); // a QEMU that has ended meanwhile has nothing open: then that is what is told
  const why = `QEMU opened another file as ${path} than the one that was made there`;
  throw new Unable(why, "See who else changes files there, then run again.");
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
