/** Before the first byte is copied: whether QEMU can be told the chain that the target will stand on. */

import type { ChainFiles, LayerFile } from "../../../core/disk/chain-options.js";
import { checkName, isNameable } from "../../../hypervisor/chain-names.js";
import { deviationsIn } from "../../../image/chain-headers.js";
import { frozenFormat } from "../../../journal/manifest.js";
import { inWords } from "../../shared/complaint.js";
import type { RecordedDisk, Site } from "../../shared/site.js";
import { filesBelowTarget, filesFrom, stayingFiles } from "./chain-files.js";

/** The headers of copies will be right. Those of layers that stay, and of those that are taken as they are, are not ours to change. */
export async function checkNameable(site: Site, disk: RecordedDisk): Promise<void> {
  const { destination, layers, overlay } = disk.manifest;
  const landing = overlay ? [{ path: overlay.landing, format: frozenFormat(disk.manifest) }] : [];
  const target = { path: destination.target, format: disk.image.creation.format };
  const chain: ChainFiles = [target, ...landing, ...filesBelowTarget(disk)];
  if (isNameable(chain)) return;
  const adopted = layers.find(({ coming }) => coming === "adopt");
  const [first, ...below]: readonly LayerFile[] = adopted ? filesFrom(disk, adopted).destination : stayingFiles(disk);
  if (first)
    await inWords(site, { verb: "move", disk: disk.disk }, async () => checkName(chain, await deviationsIn(site.host, [first, ...below])));
}
