/**
 * What the names in a manifest of ours always have in common. They say which files may be renamed and removed: a name that somebody
 * changed could be that of a file that is not ours. Pure.
 */

import { diskKey, fileNames, isOverlayName, nodeNames } from "../core/disk/names.js";
import { baseName, directoryOf, within } from "../core/disk/paths.js";
import { fitTogether, type InPending, type Undecided } from "./decided-by.js";

/** What of a manifest are names. */
interface Names {
  domainId: string;
  qdev: string;
  source: { active: string };
  chain?: readonly { path: string }[] | undefined;
  destination: { directory: string; active: string; target: string; node: string };
  layers: readonly { source: string; destination: string }[];
  overlay?: { path: string; node: string; landing: string; landingNode: string } | undefined;
  quarantine: string;
  link?: { path: string } | undefined;
  current: string | Undecided;
  pending?: InPending | undefined;
}

/** The first thing that does not fit, as a sentence's end; undefined when all fits. */
export function misfit(manifest: Names, fileName: string): string | undefined {
  const { domainId, qdev, source, chain, destination, layers, overlay, quarantine, link, current, pending } = manifest;
  const key = diskKey(domainId, qdev);
  const [home, name] = [directoryOf(source.active), baseName(source.active)];
  const there = (file: string) => within(destination.directory, file);
  const images = [source.active, destination.target, ...(overlay ? [overlay.path, overlay.landing] : [])];
  const ours = [...nodeNames.targets(key), ...nodeNames.landings(key), nodeNames.overlay(key)];
  const nodes = [destination.node, ...(overlay ? [overlay.node, overlay.landingNode] : [])];
  const landsRight = (layer: { source: string; destination: string }) =>
    layer.destination === there(baseName(layer.source)) || layer.destination === overlay?.landing;
  // what is to be removed is never a layer of the disk, whatever its name
  const layerPaths = [source.active, ...layers.map((layer) => layer.source)];
  const isOverlay = (path: string) => directoryOf(path) === home && isOverlayName(key, baseName(path)) && !layerPaths.includes(path);
  const currents = typeof current === "string" ? [current] : [current.before, current.after];
  const rules: readonly (readonly [what: string, holds: boolean])[] = [
    ["it is of another disk", fileName.startsWith(fileNames.manifest(key))],
    ["its active image lands elsewhere", [there(name), destination.target].includes(destination.active)],
    ["its target lands elsewhere", [name, ...(overlay ? [baseName(overlay.path)] : [])].map(there).includes(destination.target)],
    ["its chain does not begin with its active image", chain === undefined || chain[0]?.path === source.active],
    ["a layer lands elsewhere", layers.every(landsRight)],
    ["two layers land under one name", new Set(layers.map((layer) => layer.destination)).size === layers.length],
    ["its overlay is not named as ours are", !overlay || isOverlay(overlay.path)],
    ["its copied image lands elsewhere", !overlay || [there(name), there(fileNames.passing(name, key))].includes(overlay.landing)],
    ["its quarantine is not named as ours are", quarantine.startsWith(`${source.active}.lm-${key}-`) && directoryOf(quarantine) === home],
    ["its nodes are not named as ours are", nodes.every((node) => ours.includes(node))],
    ["two of its images have one name", new Set(images).size === images.length],
    ["`current` is none of its images", currents.every((path) => images.includes(path))],
    ["what decides `current` is not its own", fitTogether(current, pending, [link?.path])],
  ];
  return rules.find(([, holds]) => !holds)?.[0];
}
