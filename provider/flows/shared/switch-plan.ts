/** What a switch is for the host's worker: a plan, as data. Pure. */

import { backOf, nextOf, standInNames } from "../../core/disk/names.js";
import { BugError } from "../../core/errors.js";
import type { Identity } from "../../host/worker/identity.js";
import type { PlannedSwitch, SwitchDisk, SwitchMove, SwitchText } from "../../host/worker/switching.js";
import type { DecidingTurn, RecordTurn, Turn } from "./turn.js";

/** All that switches together. */
export interface Switched {
  turns: readonly Turn[];
  deciding: DecidingTurn;
}

/** What lies under the names of a switch right before it. */
export type Identities = ReadonlyMap<string, Identity>;

type FileOf = (path: string) => Identity;

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
 * The manifests first, which say from then on what decides. A link is what a boot goes by, so its one rename is the commit point, and names of
 * images that go stale come after it: one that cannot be given is only said. Without a link the switch record decides, and those names come
 * before it: from the commit point on no old command line finds a stale image, and what cannot be renamed sets all back.
 */
export function switchPlan({ turns, deciding }: Switched, identities: Identities, pendingSeconds: number): PlannedSwitch {
  const file = fileIn(identities);
  const records = turns.flatMap((turn) => turn.records.map((record) => ({ turn, record })));
  const manifests = records.map(({ record: { path } }) => moveOf(file, [nextOf(path), path], backOf(path)));
  return {
    disks: turns.map((turn) => diskOf(turn, file)),
    pendingSeconds,
    holdSources: true,
    records: records.map(({ turn, record }) => textOf(turn, record, file)),
    ...stagesOf({ turns, deciding }, file, manifests),
  };
}

/**
 * What is to be finished or reverted of a switch that was cut: its names, and its jobs. The manifests stay as they are meanwhile: they say what
 * decides.
 */
export function recoveryPlan({ turns, deciding }: Switched, identities: Identities): PlannedSwitch {
  const file = fileIn(identities);
  const disks = turns.map((turn) => diskOf(turn, file));
  return { disks, pendingSeconds: 0, holdSources: true, records: [], ...stagesOf({ turns, deciding }, file, []) };
}

function fileIn(identities: Identities): FileOf {
  return (path) => {
    const identity = identities.get(path);
    if (!identity) throw new BugError(`A switch was planned, and nobody looked at ${path}.`);
    return identity;
  };
}

function moveOf(file: FileOf, [from, to]: readonly [string, string], back?: string): SwitchMove {
  const replaced = back === undefined ? null : { place: { path: back }, file: file(back) };
  return { from: { path: from }, to: { path: to }, file: file(from), back: replaced };
}

function stagesOf({ turns, deciding }: Switched, file: FileOf, manifests: SwitchMove[]): Pick<PlannedSwitch, "stages" | "commit"> {
  const stale = staleMoves(turns, (from, to) => moveOf(file, [from, to]));
  const decides =
    deciding.decidedBy === "link"
      ? [moveOf(file, [deciding.next.path, deciding.path], deciding.back.path)]
      : [moveOf(file, [nextOf(deciding.path), deciding.path])];
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

function diskOf({ jobId, qdev, node, source, stale }: Turn, file: FileOf): SwitchDisk {
  const renamed = stale?.active === source ? [{ path: stale.quarantine }] : [];
  return { job: jobId, device: qdev, target: node, places: [{ path: source }, ...renamed], file: file(source) };
}

function textOf({ source, target, stale }: Turn, { path, next: [, afterSource, afterTarget] }: RecordTurn, file: FileOf): SwitchText {
  const renamed = stale?.active === source ? [{ path: stale.quarantine }] : [];
  return {
    places: [{ path: nextOf(path) }, { path }],
    file: file(nextOf(path)),
    measures: [
      { places: [{ path: source }, ...renamed], file: file(source), textBehind: afterSource, synced: false },
      { places: [{ path: target }], file: file(target), textBehind: afterTarget, synced: true },
    ],
  };
}

/** For the log, when it is asked for: what will be done on the host, in its order. */
export function planWords({ disks, records, stages, commit }: PlannedSwitch): string {
  const name = (place: SwitchMove["to"] | undefined) => (place === undefined ? "nothing" : "path" in place ? place.path : place.name);
  const firstOf = ({ places: [place] }: { places: SwitchMove["to"][] }) => name(place);
  const moves = stages.flatMap((stage, index) =>
    stage.map(({ from, to }) => `${index === commit ? "decides: " : ""}rename ${name(from)} to ${name(to)}`),
  );
  return [
    `complete ${disks.map(({ job }) => job).join(", ")} and wait until all are pending`,
    ...disks.map((disk) => `lock ${firstOf(disk)} against other QEMUs`),
    ...records.map(({ places, measures }) => `write sizes and times of ${measures.map(firstOf).join(" and ")} into ${firstOf({ places })}`),
    ...moves,
    `finalize ${disks.map(({ job }) => job).join(", ")}, and look at the active nodes`,
  ].join("; ");
}
