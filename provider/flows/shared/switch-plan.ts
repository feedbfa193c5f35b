/** What a switch is for the host's worker: a plan, as data. Pure. */

import { backOf, nextOf, standInNames } from "../../core/disk/names.js";
import { BugError } from "../../core/errors.js";
import type { Identity } from "../../host/worker/identity.js";
import type { PlannedSwitch, SwitchDisk, SwitchMove, SwitchRecord } from "../../host/worker/switching.js";
import type { LinkTurn, RecordTurn, Turn } from "./turn.js";

/** All that switches together. */
export interface Switched {
  turns: readonly Turn[];
  link: LinkTurn | undefined;
}

/** What lies under the names of a switch right before it. */
export type Identities = ReadonlyMap<string, Identity>;

/** Every name whose file has a part in the switch. */
export function namesIn({ turns, link }: Switched): string[] {
  const records = turns.flatMap((turn) => turn.records).flatMap(({ path }) => [nextOf(path), backOf(path)]);
  const images = turns.flatMap(({ source, stale }) => [source, ...(stale ? [stale.active] : []), ...standInOf(stale)]);
  return [...new Set([...records, ...images, ...(link ? [link.next.path, link.back.path] : [])])];
}

function standInOf(stale: Turn["stale"]): string[] {
  return stale?.standIn === "needed" ? [standInNames(stale.quarantine).link] : [];
}

/**
 * The manifests first, then the link, then the names of images that go stale. A link is what a boot goes by, so its one rename is the commit
 * point, and a name that cannot be given afterwards is only said. Without a link the last stage is the commit point: what cannot be
 * renamed sets all back.
 */
export function switchPlan({ turns, link }: Switched, identities: Identities, pendingSeconds: number): PlannedSwitch {
  const file = (path: string): Identity => {
    const identity = identities.get(path);
    if (!identity) throw new BugError(`A switch was planned, and nobody looked at ${path}.`);
    return identity;
  };
  const move = (from: string, to: string, back?: string): SwitchMove => ({
    from: { path: from },
    to: { path: to },
    file: file(from),
    back: back === undefined ? null : { place: { path: back }, file: file(back) },
  });
  const records = turns.flatMap((turn) => turn.records.map((record) => ({ record, image: turn.target })));
  const manifests = records.map(({ record: { path } }) => move(nextOf(path), path, backOf(path)));
  const links = link ? [move(link.next.path, link.path, link.back.path)] : [];
  const stages = [manifests, links, staleMoves(turns, move)].filter((stage) => stage.length > 0);
  return {
    disks: turns.map((turn) => diskOf(turn, file)),
    pendingSeconds,
    holdSources: true,
    records: records.map(({ record, image }) => recordOf(record, image, file)),
    stages,
    commit: link ? 1 : stages.length - 1,
  };
}

/** An image gets its quarantine name, and what stands in for it takes the old one. */
function staleMoves(turns: readonly Turn[], move: (from: string, to: string) => SwitchMove): SwitchMove[] {
  return turns.flatMap(({ stale }) =>
    stale === undefined ? [] : [move(stale.active, stale.quarantine), ...standInOf(stale).map((standIn) => move(standIn, stale.active))],
  );
}

function diskOf({ jobId, qdev, node, source, stale }: Turn, file: (path: string) => Identity): SwitchDisk {
  const renamed = stale?.active === source ? [{ path: stale.quarantine }] : [];
  return { job: jobId, device: qdev, target: node, places: [{ path: source }, ...renamed], file: file(source) };
}

function recordOf({ path }: RecordTurn, image: string, file: (path: string) => Identity): SwitchRecord {
  return { places: [{ path: nextOf(path) }, { path }], file: file(nextOf(path)), image: { path: image } };
}

/** For the log, when it is asked for: what will be done on the host, in its order. */
export function planWords({ disks, records, stages, commit }: PlannedSwitch): string {
  const name = (place: SwitchMove["to"]) => ("path" in place ? place.path : place.name);
  const moves = stages.flatMap((stage, index) =>
    stage.map(({ from, to }) => `${index === commit ? "decides: " : ""}rename ${name(from)} to ${name(to)}`),
  );
  return [
    `complete ${disks.map(({ job }) => job).join(", ")} and wait until all are pending`,
    ...disks.map(({ places: [source] }) => `lock ${source ? name(source) : "nothing"} against other QEMUs`),
    ...records.map(({ places: [record], image }) => `write size and time of ${name(image)} into ${record ? name(record) : "nothing"}`),
    ...moves,
    `finalize ${disks.map(({ job }) => job).join(", ")}, and look at the active nodes`,
  ].join("; ");
}
