/** What a switch is for the host's worker: a plan, as data. Pure. */

import { backOf, nextOf, standInNames } from "../../core/disk/names.js";
import type { PlannedSwitch, SwitchDisk, SwitchMove, SwitchResult, SwitchText } from "../../host/worker/switching.js";
import { type Identities, known, moveOf, nameOf, renameWords } from "../planned-move.js";
import type { CutDisk, CutRequest, Deciding, DiskSwitch, ManifestSwitch, Stale, SwitchOutcome, SwitchRequest } from "../switching.js";

/** Every name whose file has a part in the switch. */
export function namesIn({ disks, deciding }: SwitchRequest): string[] {
  const manifests = disks.flatMap((disk) => disk.manifests).flatMap(({ path }) => [nextOf(path), backOf(path)]);
  const images = disks.flatMap(({ source, target, stale }) => [source, target.path, ...(stale ? [stale.active] : []), ...standInOf(stale)]);
  const deciders = decidingRenames(deciding).flatMap(({ from, back }) => (back === undefined ? [from] : [from, back]));
  return [...new Set([...manifests, ...images, ...deciders])];
}

/** One, where it is a rename that decides. */
function decidingRenames(deciding: Deciding | undefined): { from: string; to: string; back?: string }[] {
  if (!deciding) return [];
  const { decidedBy, path: to } = deciding;
  return [decidedBy === "link" ? { from: deciding.next.path, to, back: deciding.back.path } : { from: nextOf(to), to }];
}

function standInOf(stale: Stale | undefined): string[] {
  return stale?.standIn === "needed" ? [standInNames(stale.quarantine).link] : [];
}

/**
 * Manifests first: from then on they say what decides. With a link its rename is the commit point; images that go stale are renamed after it,
 * and one that cannot be is only told. Without a link the rename of the switch record is the last: old images are renamed before it, so that
 * from the commit point on no old command line finds a stale one, and a failure sets all back. Where neither decides, the last stage does.
 */
export function switchPlan({ disks, deciding, pendingSeconds }: SwitchRequest, identities: Identities): PlannedSwitch {
  const manifests = disks.flatMap((disk) => disk.manifests.map((manifest) => ({ disk, manifest })));
  const moves = manifests.map(({ manifest: { path } }) => moveOf(identities, [nextOf(path), path], backOf(path)));
  return {
    disks: disks.map((disk) => diskOf(disk, identities)),
    pendingSeconds,
    holdSources: true,
    records: manifests.flatMap(({ disk, manifest }) => textOf(disk, manifest, identities)),
    ...stagesOf({ disks, deciding }, identities, moves),
  };
}

/**
 * What is to be finished or reverted of a switch that was cut: its names, and its jobs. The manifests stay as they are meanwhile: they say what
 * decides.
 */
export function recoveryPlan(cut: Omit<CutRequest, "at">, identities: Identities): PlannedSwitch {
  const disks = cut.disks.map((disk) => diskOf(disk, identities));
  return { disks, pendingSeconds: 0, holdSources: true, records: [], ...stagesOf(cut, identities, []) };
}

function stagesOf(
  { disks, deciding }: { disks: readonly CutDisk[]; deciding?: Deciding | undefined },
  identities: Identities,
  manifests: SwitchMove[],
): Pick<PlannedSwitch, "stages" | "commit"> {
  const stale = staleMoves(disks, (from, to) => moveOf(identities, [from, to]));
  const decides = decidingRenames(deciding).map(({ from, to, back }) => moveOf(identities, [from, to], back));
  const ordered = deciding?.decidedBy === "link" ? [manifests, decides, stale] : [manifests, stale, decides];
  const stages = ordered.filter((stage) => stage.length > 0);
  return { stages, commit: deciding ? stages.indexOf(decides) : stages.length - 1 };
}

/** An image gets its quarantine name, and what stands in for it takes the old one. */
function staleMoves(disks: readonly CutDisk[], move: (from: string, to: string) => SwitchMove): SwitchMove[] {
  return disks.flatMap(({ stale }) =>
    stale === undefined ? [] : [move(stale.active, stale.quarantine), ...standInOf(stale).map((standIn) => move(standIn, stale.active))],
  );
}

function diskOf(disk: CutDisk, identities: Identities): SwitchDisk {
  const { job, qdev, node, source } = disk;
  return { job: job.id, device: qdev, target: node, places: placesOf(disk), file: known(identities, source) };
}

/** Of the image that is left, before and after. */
function placesOf({ source, stale }: CutDisk): { path: string }[] {
  return [{ path: source }, ...(stale?.active === source ? [{ path: stale.quarantine }] : [])];
}

/** Nothing where the manifest is whole. */
function textOf(disk: DiskSwitch, { path, next: [, ...texts] }: ManifestSwitch, identities: Identities): SwitchText[] {
  const [afterSource, afterTarget] = texts;
  if (afterSource === undefined || afterTarget === undefined) return [];
  const { source, target } = disk;
  return [
    {
      places: [{ path: nextOf(path) }, { path }],
      file: known(identities, nextOf(path)),
      measures: [
        { places: placesOf(disk), file: known(identities, source), textBehind: afterSource, synced: false },
        { places: [{ path: target.path }], file: known(identities, target.path), textBehind: afterTarget, synced: true },
      ],
    },
  ];
}

/** For the log, when it is asked for: what will be done on the host, in its order. */
export function planWords({ disks, records, stages, commit }: PlannedSwitch): string {
  const firstOf = ({ places: [place] }: { places: SwitchMove["to"][] }) => (place === undefined ? "nothing" : nameOf(place));
  const moves = stages.flatMap((stage, index) => stage.map((move) => `${index === commit ? "decides: " : ""}${renameWords(move)}`));
  return [
    `complete ${disks.map(({ job }) => job).join(", ")} and wait until all are pending`,
    ...disks.map((disk) => `lock ${firstOf(disk)} against other QEMUs`),
    ...records.map(({ places, measures }) => `write sizes and times of ${measures.map(firstOf).join(" and ")} into ${firstOf({ places })}`),
    ...moves,
    `finalize ${disks.map(({ job }) => job).join(", ")}, and look at the active nodes`,
  ].join("; ");
}

const ends = {
  switched: "switched",
  cancelled: "stayed",
  "cancelled-half-way": "names-left",
  astray: "apart",
  "finished-without-qemu": "ended",
  "reverted-without-qemu": "ended",
} as const satisfies Record<SwitchResult["end"], SwitchOutcome["end"]>;

export function outcomeOf(disks: readonly CutDisk[], { end, why, astray, pauseSeconds }: SwitchResult): SwitchOutcome {
  const hasMoved = ({ job }: CutDisk) =>
    end === "switched" || end === "finished-without-qemu" || (end === "astray" && !astray.includes(job.id));
  const stayed = disks.filter((disk) => !hasMoved(disk)).map(({ qdev }) => qdev);
  return { end: ends[end], why, stayed, ...(pauseSeconds !== undefined && { pauseSeconds }) };
}
