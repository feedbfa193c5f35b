/** The chain on which a mirror will stand after the pivot: found through its own header, and compared with what it is a copy of. */

import { isFile, isUnchanged, sameFile } from "../../core/disk/chain.js";
import type { LayerFile } from "../../core/disk/chain-options.js";
import { directoryOf, within } from "../../core/disk/paths.js";
import { type FileSeen, seeFiles } from "../../host/file-seen.js";
import { realPath } from "../../host/files.js";
import { compareImages } from "../../image/compare.js";
import { imageInfo } from "../../image/qemu-img.js";
import { wordsOf } from "../shared/complaint.js";
import { type RecordedDisk, refusal, type SnapshotSite } from "./site.js";

/** A copied layer, and the layer that it must be the same as. */
interface CopiedLayer extends LayerFile {
  source: LayerFile;
}

/** A copy with what it stands on, and what its source stands on; top first. */
interface Compared {
  copy: CopiedLayer;
  copied: readonly LayerFile[];
  own: readonly LayerFile[];
}

/** What was compared. The first of the chain is what the mirror stands on. */
export interface CopiedChain {
  top: LayerFile;
  /** What that stands on, top first: copies, then what both chains share. */
  below: readonly LayerFile[];
  layers: readonly CopiedLayer[];
  identities: readonly (FileSeen | undefined)[];
}

/**
 * Every copied layer holds what its source holds, for a guest, and all below it too.
 * @throws UserError if a layer is missing, differs, or leads back to the source
 */
export async function checkCopiedChain(site: SnapshotSite, disk: RecordedDisk): Promise<CopiedChain> {
  const sources = sourceLayers(disk);
  const layers = await copiedLayers(site, disk, sources);
  const identities = await identitiesOf(site, layers);
  const files = [...layers.map(({ path, format }) => ({ path, format })), ...sources.slice(layers.length)];
  for (const [index, copy] of layers.entries())
    await compare(site, disk, { copy, copied: files.slice(index + 1), own: sources.slice(index + 1) });
  const chain = { top: topOf(disk), below: files.slice(1), layers, identities };
  await checkUntouched(site, disk, chain);
  return chain;
}

/** Nobody has written to a copy since it was compared, and by the mirror's name a boot will find the mirror. */
export async function checkUntouched(site: SnapshotSite, disk: RecordedDisk, { layers, identities }: CopiedChain): Promise<void> {
  const { mirror } = disk.manifest;
  const [there] = await seeFiles(site.host, [mirror.path], "follow");
  if (!there || !mirror.is || !isFile(there, mirror.is))
    throw refused(site, disk)(
      `${mirror.path} is not the file any more that the guest's writes go to`,
      "Put it back under its name, then run again.",
    );
  const now = await identitiesOf(site, layers);
  const changed = layers.findIndex((_, index) => !isAsBefore(now[index], identities[index]));
  if (changed >= 0) throw refused(site, disk)(`somebody writes to ${layers[changed]?.path}`, "Let the copy end, then run again.");
}

/** The same file, not written to. How much of it is allocated changes by itself, when what was written is on disk. */
function isAsBefore(now: FileSeen | undefined, before: FileSeen | undefined): boolean {
  if (!now || !before) return now === before;
  return sameFile(now, before) && isUnchanged(now, before);
}

function identitiesOf(site: SnapshotSite, layers: readonly CopiedLayer[]): Promise<(FileSeen | undefined)[]> {
  return seeFiles(
    site.host,
    layers.map(({ path }) => path),
    "follow",
  );
}

/** What the guest's image below `file` and each layer below that are. */
function sourceLayers({ image, active }: RecordedDisk): LayerFile[] {
  return image.chain.slice(1).map(({ path, format }) => ({ path: within(active.directory, path), format }));
}

function topOf({ manifest }: RecordedDisk): LayerFile {
  const { path, backing } = manifest.mirror;
  return { path: within(directoryOf(path), backing.name), format: backing.format };
}

/** From the mirror down, by the headers, beside the guest's own chain below `file`; down to `keepBase`, or to a layer outside the source's directory. */
async function copiedLayers(site: SnapshotSite, disk: RecordedDisk, sources: readonly LayerFile[]): Promise<CopiedLayer[]> {
  const { manifest } = disk;
  const refuse = refused(site, disk);
  const home = await realPath(site.host, directoryOf(manifest.former.path));
  const layers: CopiedLayer[] = [];
  let next: LayerFile | undefined = topOf(disk);
  for (const [index, source] of sources.entries()) {
    if (!next)
      throw refuse(
        `the copied chain ends at ${layers.at(-1)?.path ?? manifest.mirror.path}, and ${source.path} has no copy`,
        "Copy what is missing.",
      );
    const layer: CopiedLayer = { ...next, source };
    const verdict = await placeOf(site, disk, layer, home);
    if (verdict === "shared") return layers;
    layers.push(layer);
    next = await below(site, layer, { source: sources[index + 1], refuse });
  }
  if (next) throw goesOn(refuse, next.path);
  return layers;
}

/** Whether a layer is a copy, or one that both chains may share. */
async function placeOf(site: SnapshotSite, disk: RecordedDisk, { path, source }: CopiedLayer, home: string): Promise<"copy" | "shared"> {
  const refuse = refused(site, disk);
  const { keepBase } = site.options;
  const [copy, itself, kept] = await seeFiles(site.host, [path, source.path, keepBase ?? path], "follow");
  if (!copy)
    throw refuse(`there is no ${path}, where a copy of ${source.path} must be`, `Copy it there: cp ${source.path} ${directoryOf(path)}/.`);
  if (keepBase !== undefined && kept && sameFile(kept, copy)) return "shared";
  const isItself = itself !== undefined && sameFile(copy, itself);
  if (!isItself && (await realPath(site.host, directoryOf(path))) !== home) return "copy";
  if (isItself && (await realPath(site.host, directoryOf(source.path))) !== home) return "shared";
  const advice = `Copy ${source.path} beside the mirror, or, if it may stay where it is, make the snapshot with it as keepBase.`;
  throw refuse(`the mirror's chain leads back into the source's directory, to ${path}`, advice);
}

/** What the layer's own header names, in the place that QEMU would look for it. Its format is that of its source: none is guessed. */
async function below(
  site: SnapshotSite,
  layer: CopiedLayer,
  { source, refuse }: { source: LayerFile | undefined; refuse: Refuse },
): Promise<LayerFile | undefined> {
  const { backingPath, backingFormat } = await imageInfo(site.host, layer.path, layer.format);
  if (backingPath === undefined) return undefined;
  if (!source) throw goesOn(refuse, backingPath);
  if (backingFormat !== undefined && backingFormat !== source.format)
    throw refuse(
      `the header of ${layer.path} says that ${backingPath} has the format ${backingFormat}, and its source's is ${source.format}`,
      "Copy it again.",
    );
  return { path: backingPath, format: source.format };
}

function goesOn(refuse: Refuse, path: string): Error {
  return refuse(`the copied chain goes on to ${path}, where the source's has ended`, "Copy the chain again.");
}

/** Past the page cache: a fresh copy would else be compared from the host's memory. */
async function compare(site: SnapshotSite, disk: RecordedDisk, { copy, copied, own }: Compared): Promise<void> {
  const { path, format, source } = copy;
  const refuse = refused(site, disk);
  site.run.progress(`${disk.disk} comparing ${path} with its source`);
  const watch = { stop: site.run.stop, stallSeconds: site.options.stallSeconds };
  const again = "Copy it again, then run again.";
  const unable = (cause: unknown) => {
    throw refuse(`${path} could not be compared with ${source.path} (${wordsOf(cause)})`, again, cause);
  };
  const verdict = await compareImages(site.host, [source, ...own], [{ path, format }, ...copied], "past-the-cache", watch).catch(unable);
  if (verdict !== "same") throw refuse(`the copy ${path} differs from ${source.path} (${verdict.differs})`, again);
}

type Refuse = ReturnType<typeof refused>;

/** Nothing is lost by a refusal: the snapshot lasts, and the guest writes to both files. */
export function refused(site: SnapshotSite, disk: RecordedDisk) {
  const left = leftAsItIs(disk);
  return (why: string, advice: string, cause?: unknown) =>
    refusal(site, "pivot", disk.disk)(why, advice, { left, tellsCurrent: true, ...(cause === undefined ? {} : { cause }) });
}

export function leftAsItIs({ manifest }: RecordedDisk): string {
  return `The snapshot lasts, and the guest writes to both files; current: ${manifest.current}.`;
}
