/** Renames of a switch as its plan has them: each with the file that must lie there. Pure, but for the look at the names. */

import { BugError } from "../core/errors.js";
import type { Host } from "../host/host.js";
import { fileStatus } from "../host/worker/files.js";
import type { Identity } from "../host/worker/identity.js";
import type { SwitchMove } from "../host/worker/switching.js";

/** What lies under the names of a switch right before it. */
export type Identities = ReadonlyMap<string, Identity>;

/** @param at the names, and where their files are: a switch that was cut has renamed some */
export async function identitiesOf(host: Host, at: ReadonlyMap<string, string>): Promise<Identities> {
  const worker = await host.worker();
  const look = async ([name, path]: [string, string]) => [name, (await fileStatus(worker, { path })).identity] as const;
  return new Map(await Promise.all([...at].map(look)));
}

/** Each file under its own name. */
export function asNamed(names: readonly string[]): ReadonlyMap<string, string> {
  return new Map(names.map((name) => [name, name]));
}

/** What was found at a path that the plan needs. */
export function known<T>(found: ReadonlyMap<string, T>, path: string): T {
  const one = found.get(path);
  if (one === undefined) throw new BugError(`A switch was planned, and nobody looked at ${path}.`);
  return one;
}

/** @param back a name of the file that is replaced; without one the new name must be free */
export function moveOf(identities: Identities, [from, to]: readonly [string, string], back?: string): SwitchMove {
  const replaced = back === undefined ? null : { place: { path: back }, file: known(identities, back) };
  return { from: { path: from }, to: { path: to }, file: known(identities, from), back: replaced };
}

/** For the log. */
export function nameOf(place: SwitchMove["to"]): string {
  return "path" in place ? place.path : place.name;
}

export function renameWords({ from, to }: SwitchMove): string {
  return `rename ${nameOf(from)} to ${nameOf(to)}`;
}
