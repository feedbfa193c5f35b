/** What a move of one disk will be, worked out from what was seen, before anything is written. */

import { whichOf } from "../../../core/disk/chain.js";
import { fileNames, nodeNames, quarantineName } from "../../../core/disk/names.js";
import { baseName, directoryOf, within } from "../../../core/disk/paths.js";
import type { Moment } from "../../../core/world.js";
import { seeFiles } from "../../../host/file-seen.js";
import type { Host } from "../../../host/host.js";
import { readLink } from "../../../host/links.js";
import type { GuestView } from "../../../hypervisor/hypervisor.js";
import type { Manifest, MovedLayer } from "../../../journal/manifest.js";
import { type LayerState, layerStates } from "../../../storage/directory/sidecar.js";
import { complaint } from "../../shared/complaint.js";
import { namedNodes } from "../../shared/former-nodes.js";
import type { MoveOptions } from "../../shared/options.js";
import { sameDirectory } from "../../shared/places.js";
import type { SeenDisk, Site } from "../../shared/site.js";
import { at, countMoving, type PlacedLayer, placeLayers } from "./placed-chain.js";

/** A chain on its way: its first `moving` layers land flat in the destination. */
interface Landing {
  destination: string;
  chain: readonly PlacedLayer[];
  moving: number;
}

export interface Draft {
  disk: SeenDisk;
  manifest: Manifest;
  /** What the destination must have room for. */
  neededBytes: number;
}

export async function draftMove(site: Site & { destination: string }, view: GuestView, disk: SeenDisk, now: Moment): Promise<Draft> {
  const { destination } = site;
  const chain = await placeLayers(site, disk);
  const landing = { destination, chain, moving: await countMoving(site, disk, chain) };
  const active = at(chain, 0);
  const lower = chain.slice(1, landing.moving);
  const there = lower.map(({ place }) => within(destination, baseName(place)));
  const states = await statesOf(site, disk, there);
  const layers = lower.map((_, index) => movedLayer(landing, index + 1, states[index]?.state === "foreign" ? "adopt" : "copy"));
  const moved = within(destination, baseName(active.place));
  const directories = await directoriesOf(site.host, [directoryOf(active.place), destination]);
  const overlay = site.options.strategy === "snapshot" ? planOverlay(site.options, landing, { view, disk }) : undefined;
  const manifest: Manifest = {
    version: 1,
    domainId: view.domainId,
    qdev: disk.qdev,
    disk: disk.disk,
    strategy: site.options.strategy,
    startedAt: now.toISOString(),
    source: { active: active.place, ...whichOf(active.identity) },
    chain: chain.map(({ place, format, identity }) => ({ path: place, format, ...whichOf(identity) })),
    destination: {
      directory: destination,
      ...optionally("ino", directories?.destination.inode),
      active: overlay?.active ?? moved,
      target: overlay?.target ?? moved,
      node: freeName(view, nodeNames.targets(disk.key)),
      ...optionally("backing", overlay ? overlay.below : backingAtDestination(landing, 0)),
    },
    ...(directories && { directories, generation: 1 }),
    layers,
    ...optionally("overlay", overlay?.overlay),
    ...optionally("link", await linkAsItIs(site)),
    afterwards: site.options.afterwards,
    quarantine: within(directoryOf(active.place), quarantineName(baseName(active.place), disk.key, now)),
    formerNodes: namedNodes(view, disk.image),
    current: active.place,
  };
  const missing = lower.filter((_, index) => layers[index]?.coming === "copy" && !isCopied(states[index]));
  return { disk, manifest, neededBytes: [active, ...missing].reduce((sum, layer) => sum + layer.allocatedBytes, 0) };
}

/** @throws UserError where nobody can tell who stands on a layer: its file might be removed as another move's */
async function statesOf(site: Site, disk: SeenDisk, destinations: readonly string[]): Promise<LayerState[]> {
  const states = await layerStates(site.host, destinations, disk.key);
  for (const [index, state] of states.entries()) {
    if (state.state !== "foreign" || state.what === "file") continue;
    const why = `${destinations[index]} cannot be taken as it is: ${state.why}`;
    const advice = "Let the move end that keeps a copy there; if there is none, take that sidecar away. Then run again.";
    throw complaint(site, { verb: "move", disk: disk.disk, why, advice });
  }
  return states;
}

function isCopied(state: LayerState | undefined): boolean {
  return state?.state === "ours" || state?.state === "kept";
}

async function directoriesOf(host: Host, paths: readonly [source: string, destination: string]): Promise<Manifest["directories"]> {
  const [source, destination] = await seeFiles(host, paths, "follow");
  return source && destination && { source: source.identity, destination: destination.identity };
}

function optionally<K extends string, V>(key: K, value: V | undefined): { [key in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [key in K]: V });
}

function movedLayer(landing: Landing, index: number, coming: "copy" | "adopt"): MovedLayer {
  const { place, format, identity, backingName, backingFormat } = at(landing.chain, index);
  const backing = backingAtDestination(landing, index);
  const isRight = backing === undefined || (backing.name === backingName && backing.format === backingFormat);
  return {
    source: place,
    destination: within(landing.destination, baseName(place)),
    format,
    identity,
    coming,
    ...optionally("rename", isRight ? undefined : backing),
  };
}

/**
 * How the moved layer's header shall name the layer below: as it does, where that finds the right file from the destination;
 * else a relative name stays relative and an absolute one absolute, and a layer that stays is named by its full path.
 */
function backingAtDestination({ destination, chain, moving }: Landing, index: number): { name: string; format: string } | undefined {
  const below = chain[index + 1];
  if (!below) return undefined;
  const moves = index + 1 < moving;
  const found = moves ? within(destination, baseName(below.place)) : below.place;
  const name = at(chain, index).backingName;
  const still = name !== undefined && !name.startsWith("json:") && within(destination, name.replace(/^(\.\/)+/, "")) === found;
  if (still) return { name, format: below.format };
  return { name: moves && !name?.startsWith("/") ? baseName(below.place) : found, format: below.format };
}

/** Of two node names the one that is not open, as the active image perhaps, from an earlier move. */
function freeName(view: GuestView, [one, other]: readonly [string, string]): string {
  return view.nodes.some(({ name }) => name === one) ? other : one;
}

/** Which of the images at the destination has the active image's name in the end, and which one is only passing. */
function planOverlay({ collapse = "commit" }: MoveOptions, landing: Landing, { view, disk }: { view: GuestView; disk: SeenDisk }) {
  const { place, format } = at(landing.chain, 0);
  const name = baseName(place);
  const there = (file: string) => within(landing.destination, file);
  const overlayName = fileNames.overlay(
    disk.key,
    landing.chain.map(({ path }) => baseName(path)),
  );
  const landed = there(collapse === "pull" ? fileNames.passing(name, disk.key) : name);
  const target = there(collapse === "pull" ? name : overlayName);
  const overlay = {
    collapse,
    path: within(directoryOf(place), overlayName),
    node: nodeNames.overlay(disk.key),
    landing: landed,
    landingNode: freeName(view, nodeNames.landings(disk.key)),
    ...optionally("landingBacking", backingAtDestination(landing, 0)),
  };
  return { overlay, target, active: collapse === "commit" ? landed : target, below: { name: baseName(landed), format } };
}

/** A link that leads to the destination already is recorded by the destination's own name: neither the switch nor an undo changes it. */
async function linkAsItIs(site: Site & { destination: string }): Promise<Manifest["link"]> {
  const { link } = site.options;
  const before = link === undefined ? undefined : await readLink(site.host, link);
  if (link === undefined || before === undefined) return undefined;
  const leadsHome = (await sameDirectory(site, link, site.destination)) === "same";
  return { path: link, before: leadsHome ? site.destination : before };
}
