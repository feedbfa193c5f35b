/**
 * What was declared of a disk's place, kept beside what `read` shows of it. An engine hands back to `read` the outputs alone, and in
 * them the arguments are as the last `read` showed them: so create and update write what was declared into an output of its own, and
 * `read` compares with that, however often it is asked. Pure.
 */

import type { Properties } from "../../../core/lifecycle.js";

/** The output `declared` for these arguments. */
export function declaredOutput(keys: readonly string[], properties: Properties): { declared: Properties } {
  return { declared: Object.fromEntries(keys.flatMap((key) => (properties[key] === undefined ? [] : [[key, properties[key]]]))) };
}

/** `outputs` with these arguments as they were declared. A state of version 0.1.0 has nothing but what is shown. */
export function asDeclared(keys: readonly string[], outputs: Properties): Properties {
  const { declared } = outputs;
  if (typeof declared !== "object" || declared === null) return outputs;
  const others = Object.entries(outputs).filter(([key]) => !keys.includes(key));
  return { ...Object.fromEntries(others), ...declaredOutput(keys, { ...declared }).declared };
}

/** No path begins so: it differs from every directory, whatever the disks are called. */
const severalPlaces = "in several places: ";

/** Disks, each place's together. */
export function severalPlacesText(places: readonly { place: string; disks: readonly string[] }[]): string {
  return `${severalPlaces}${places.map(({ place, disks }) => `${disks.join(", ")} in ${place}`).join("; ")}`;
}

/** Whether this is what `read` shows of disks in several directories, which is no directory that a disk could be moved to. */
export function isSeveralPlaces(destination: unknown): destination is string {
  return typeof destination === "string" && destination.startsWith(severalPlaces);
}
