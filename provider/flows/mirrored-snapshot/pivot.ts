/** The pivot of all disks: each mirror gets its copied chain, then all switch or none. */

import type { ChainFiles } from "../../core/disk/chain-options.js";
import { fileNames, jobNames, nodeNames } from "../../core/disk/names.js";
import { directoryOf, within } from "../../core/disk/paths.js";
import { BugError, isKind } from "../../core/errors.js";
import { toldBelow } from "../../hypervisor/chain-names.js";
import type { DiskSwitch } from "../../hypervisor/hypervisor.js";
import { checkOpenedChain } from "../../hypervisor/opened.js";
import type { Undecided } from "../../journal/decided-by.js";
import { raised } from "../../journal/generation.js";
import { snapshotManifestText, type WrittenSnapshotManifest } from "../../journal/snapshot-manifest.js";
import { manifestPaths } from "../../journal/snapshot-records.js";
import { inWords, wordsOf } from "../shared/complaint.js";
import { notYetMeasured, openText } from "../shared/disk-switches.js";
import type { Outcome } from "../shared/outcome.js";
import { type Named, switchDisks } from "../shared/switch.js";
import { checkChains } from "./chain-check.js";
import { type CopiedChain, checkCopiedChain, checkUntouched, leftAsItIs, refused } from "./copied-chain.js";
import { copiedNodes } from "./endings.js";
import { checkDisks } from "./others.js";
import { graphGuestOf, graphOf, type RecordedDisk, type Seen, type SnapshotSite } from "./site.js";
import { borrowedBacking, optionsOf } from "./taking.js";

export async function pivot(site: SnapshotSite, seen: Seen, disks: readonly RecordedDisk[], outcome: Outcome): Promise<void> {
  const chains: { disk: RecordedDisk; chain: CopiedChain }[] = [];
  for (const disk of disks) chains.push({ disk, chain: await checkCopiedChain(site, disk) });
  for (const { disk, chain } of chains) await moveOntoCopies(site, seen, disk, chain);
  for (const { disk, chain } of chains) await checkUntouched(site, disk, chain);
  await checkDisks(site, "pivot the mirrored snapshot of", disks);
  await checkChains(site, disks, "file", "pivot");
  const path = switchRecordOf(disks);
  const deciding = { decidedBy: "switch-record", path } as const;
  await switchDisks(
    { site, seen, outcome },
    disks.map((disk) => pivotOf(disk, deciding)),
    deciding,
  );
}

/** What an earlier run left open is closed first: the copies may have been made again since. */
async function moveOntoCopies(site: SnapshotSite, { view }: Seen, disk: RecordedDisk, { top, below }: CopiedChain): Promise<void> {
  const { mirror } = disk.manifest;
  const graph = graphOf(site);
  const target = optionsOf(disk, mirror.path);
  const open = copiedNodes(view, disk.key);
  if (open.length > 0) await graph.reopenOn(mirror.node, { ...target, backing: await borrowedBacking(site, disk) });
  const stay = new Set((await site.guest.closeNodes(open)).map(({ node }) => node));
  const node = freeCopiedName(disk, stay);
  const refuse = (cause: unknown) => {
    if (!isKind(cause, "user")) throw cause;
    const why = `its QEMU cannot let ${mirror.path} stand on ${top.path} (${wordsOf(cause)})`;
    throw refused(site, disk)(why, "Let the guest's QEMU read the copies, then run again.", cause);
  };
  const chain: ChainFiles = [top, ...below];
  const words = { verb: "pivot", disk: disk.disk, left: leftAsItIs(disk) };
  const told = await inWords(site, words, () => toldBelow(site.host, chain));
  await graph.openLayer(node, { ...optionsOf(disk, top.path, top.format), ...told }).catch(refuse);
  await inWords(site, words, () => checkOpenedChain({ host: site.host, guest: graphGuestOf(site) }, node, chain));
  await graph.reopenOn(mirror.node, { ...target, backing: node }).catch(refuse);
}

/** A disk that pivoted before stands on such a node. */
function freeCopiedName({ key }: RecordedDisk, taken: ReadonlySet<string>): string {
  for (let number = 0; ; number++) if (!taken.has(nodeNames.copied(key, number))) return nodeNames.copied(key, number);
}

/** Beside the first disk's overlay. */
function switchRecordOf([first]: readonly RecordedDisk[]): string {
  if (!first) throw new BugError("A pivot of no disk was begun.");
  return within(directoryOf(first.manifest.file.path), fileNames.switchRecord(first.key));
}

function pivotOf({ disk, key, qdev, image, manifest }: RecordedDisk, deciding: Pick<Undecided, "decidedBy" | "path">): Named<DiskSwitch> {
  const { file, mirror, quarantine, switched: _, ...rest } = manifest;
  if (!file.is || !mirror.is)
    throw new BugError(`The mirror ${mirror.path} is ready, but which files it is made of was never written down.`);
  const pending = { before: notYetMeasured(file.is), after: notYetMeasured(mirror.is) };
  const current = { ...deciding, before: file.path, after: mirror.path };
  const after: WrittenSnapshotManifest = { ...raised(rest), file, mirror, quarantine, current, pending };
  const texts = { now: snapshotManifestText(manifest), next: openText(snapshotManifestText(after)) };
  return {
    ...{ disk, qdev, job: { id: jobNames.mirror(key), kind: "copy" }, node: mirror.node },
    ...{ source: file.path, chain: image.chain, target: { path: mirror.path, format: "qcow2" } },
    manifests: Object.values(manifestPaths(manifest, key)).map((path) => ({ path, ...texts })),
    stale: { active: file.path, quarantine, standIn: "none" },
  };
}
