/** What a switch is for the host's worker: a plan, as data. Pure. */

import { backOf, nextOf, standInNames } from "../../core/disk/names.js";
import type { PlannedSwitch, SwitchDisk, SwitchMove, SwitchText } from "../../host/worker/switching.js";
import { type Identities, known, moveOf, nameOf, renameWords } from "./planned-move.js";
import type { DecidingTurn, RecordTurn, Turn } from "./turn.js";

/** All that switches together. */
export interface Switched {
  turns: readonly Turn[];
  deciding: DecidingTurn;
}

/** Every name whose file has a part in the switch. */
export function namesIn({ turns, deciding }: Switched): string[] {
  const records = turns.flatMap((turn) => turn.records).flatMap(({ path }) => [nextOf(path), backOf(path)]);
  const images = turns.flatMap(({ source, target, stale }) => [source, target, ...(stale ? [stale.active] : []), ...standInOf(stale)]);
  const deciders = deciding.decidedBy === "link" ? [deciding.next.path, deciding.back.path] : [nextOf(deciding.path)];
  return [...new Set([...records, ...images, ...deciders])];
}

function standInOf(stale: Turn["stale"]): string[] {
  return stale?.standIn === "needed" ? [standInNames(stale.quarantine).link] : [];
}

/**
 * Manifests first: from then on they say what decides. With a link its rename is the commit point; images that go stale are renamed after it,
 * and one that cannot be is only told. Without a link the rename of the switch record is the last: old images are renamed before it, so that
 * from the commit point on no old command line finds a stale one, and a failure sets all back.
 */
export function switchPlan({ turns, deciding }: Switched, identities: Identities, pendingSeconds: number): PlannedSwitch {
  const records = turns.flatMap((turn) => turn.records.map((record) => ({ turn, record })));
  const manifests = records.map(({ record: { path } }) => moveOf(identities, [nextOf(path), path], backOf(path)));
  return {
    disks: turns.map((turn) => diskOf(turn, identities)),
    pendingSeconds,
    holdSources: true,
    records: records.map(({ turn, record }) => textOf(turn, record, identities)),
    ...stagesOf({ turns, deciding }, identities, manifests),
  };
}

/**
 * What is to be finished or reverted of a switch that was cut: its names, and its jobs. The manifests stay as they are meanwhile: they say what
 * decides.
 */
export function recoveryPlan({ turns, deciding }: Switched, identities: Identities): PlannedSwitch {
  const disks = turns.map((turn) => diskOf(turn, identities));
  return { disks, pendingSeconds: 0, holdSources: true, records: [], ...stagesOf({ turns, deciding }, identities, []) };
}

function stagesOf(
  { turns, deciding }: Switched,
  identities: Identities,
  manifests: SwitchMove[],
): Pick<PlannedSwitch, "stages" | "commit"> {
  const stale = staleMoves(turns, (from, to) => moveOf(identities, [from, to]));
  const decides =
    deciding.decidedBy === "link"
      ? [moveOf(identities, [deciding.next.path, deciding.path], deciding.back.path)]
      : [moveOf(identities, [nextOf(deciding.path), deciding.path])];
  const ordered = deciding.decidedBy === "link" ? [manifests, decides, stale] : [manifests, stale, decides];
  const stages = ordered.filter((stage) => stage.length > 0);
  return { stages, commit: stages.indexOf(decides) };
}

/** An image gets its quarantine name, and what stands in for it takes the old one. */
function staleMoves(turns: readonly Turn[], move: (from: string, to: string) => SwitchMove): SwitchMove[] {
  return turns.flatMap(({ stale }) =>
    stale === undefined ? [] : [move(stale.active, stale.quarantine), ...standInOf(stale).map((standIn) => move(standIn, stale.active))],
  );
}

function diskOf({ jobId, qdev, node, source, stale }: Turn, identities: Identities): SwitchDisk {
  const renamed = stale?.active === source ? [{ path: stale.quarantine }] : [];
  return { job: jobId, device: qdev, target: node, places: [{ path: source }, ...renamed], file: known(identities, source) };
}

function textOf(
  { source, target, stale }: Turn,
  { path, next: [, afterSource, afterTarget] }: RecordTurn,
  identities: Identities,
): SwitchText {
  const renamed = stale?.active === source ? [{ path: stale.quarantine }] : [];
  return {
    places: [{ path: nextOf(path) }, { path }],
    file: known(identities, nextOf(path)),
    measures: [
      { places: [{ path: source }, ...renamed], file: known(identities, source), textBehind: afterSource, synced: false },
      { places: [{ path: target }], file: known(identities, target), textBehind: afterTarget, synced: true },
    ],
  };
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
