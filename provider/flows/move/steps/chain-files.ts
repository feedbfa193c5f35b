/** The files of a move's chains, from one layer down to the base. Pure. */

import type { ChainFiles, LayerFile } from "../../../core/disk/chain-options.js";
import { directoryOf, within } from "../../../core/disk/paths.js";
import type { Manifest, MovedLayer } from "../../../journal/manifest.js";
import type { SeenDisk } from "../../shared/site.js";

type Written = Pick<SeenDisk, "image" | "active"> & { manifest: Manifest };

/** The layers that stay where they are, below those that move. */
export function stayingFiles({ image, active, manifest: { source, layers, chain } }: Written): LayerFile[] {
  const tops = layers[0]?.source === source.active ? 0 : 1;
  if (chain) return chain.slice(tops + layers.length).map(({ path, format }) => ({ path, format }));
  // a manifest of 0.1.0 does not tell them; until the pivot the live chain has as many above them
  const home = directoryOf(active.named);
  return image.chain.slice(1 + layers.length).map(({ path, format }) => ({ path: within(home, path), format }));
}

/** What lies below the target, top first. */
export function filesBelowTarget(disk: Written): LayerFile[] {
  return [...disk.manifest.layers.map(atDestination), ...stayingFiles(disk)];
}

/** From one of the layers that move down: as it is at the source, and as it is at the destination. */
export function filesFrom(disk: Written, layer: MovedLayer): { source: ChainFiles; destination: ChainFiles } {
  const { layers } = disk.manifest;
  const below = layers.slice(layers.findIndex(({ destination }) => destination === layer.destination) + 1);
  const staying = stayingFiles(disk);
  return {
    source: [atSource(layer), ...below.map(atSource), ...staying],
    destination: [atDestination(layer), ...below.map(atDestination), ...staying],
  };
}

function atSource({ source: path, format }: MovedLayer): LayerFile {
  return { path, format };
}

function atDestination({ destination: path, format }: MovedLayer): LayerFile {
  return { path, format };
}
