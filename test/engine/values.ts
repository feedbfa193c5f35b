/** Property values as the engine sees them: secrets, values that a preview cannot know, and what differs between two bags. */

import { isDeepStrictEqual } from "node:util";
import type { Properties } from "../../provider/core/lifecycle.js";

/** Stands for a value that is not known before the update. */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";

export interface Secret {
  value: unknown;
  /** In an export in place of `value`: as JSON text. */
  plaintext?: unknown;
}

export function secretOf(value: unknown): unknown {
  return isSecret(value) ? value : { [signatureKey]: secretSignature, value };
}

export function isSecret(value: unknown): value is Secret {
  return isBag(value) && value[signatureKey] === secretSignature;
}

export function isBag(value: unknown): value is Properties {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The plain values that a provider which does not accept secrets is sent. */
export function plain(bag: Properties): Properties {
  return mapValues(bag, plainValue);
}

function plainValue(value: unknown): unknown {
  return mapSecrets(value, (secret) => plainValue(secret.value));
}

/** `value` with every secret in it changed, at any depth; into what a secret holds it does not look. */
export function mapSecrets(value: unknown, change: (secret: Secret) => unknown): unknown {
  if (isSecret(value)) return change(value);
  if (Array.isArray(value)) return value.map((member) => mapSecrets(member, change));
  return isBag(value) ? mapValues(value, (inner) => mapSecrets(inner, change)) : value;
}

/** `bag` with everything marked as secret that `pattern` marks at the same key: into objects, arrays as a whole. */
export function markSecrets(bag: Properties, pattern: Properties, also: readonly string[] = []): Properties {
  return mapValues(bag, (value, key) => (also.includes(key) ? secretOf(value) : markValue(value, pattern[key])));
}

function markValue(value: unknown, pattern: unknown): unknown {
  if (isSecret(pattern)) return secretOf(value);
  if (Array.isArray(pattern) && pattern.some((member) => !isDeepStrictEqual(plainValue(member), member))) return secretOf(value);
  return isBag(value) && isBag(pattern) && !isSecret(value) ? markSecrets(value, pattern) : value;
}

export function mapValues(bag: Properties, change: (value: unknown, key: string) => unknown): Properties {
  return Object.fromEntries(Object.entries(bag).map(([key, value]) => [key, change(value, key)]));
}

export function holdsUnknown(value: unknown): boolean {
  if (value === unknownValue) return true;
  return typeof value === "object" && value !== null && Object.values(value).some(holdsUnknown);
}

/** One property whose value differs, or is not yet known. */
export interface PropertyChange {
  /** `destination`, `disks[1].file`. */
  path: string;
  kind: "add" | "delete" | "update";
  before: unknown;
  after: unknown;
}

/** What differs between two bags, down to the innermost value. */
export function compare(before: Properties, after: Properties): PropertyChange[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return keys.flatMap((key) => compareValue(key, before[key], after[key]));
}

function compareValue(path: string, before: unknown, after: unknown): PropertyChange[] {
  if (isDeepStrictEqual(before, after) && !holdsUnknown(after)) return [];
  if (before === undefined) return [{ path, kind: "add", before, after }];
  if (after === undefined) return [{ path, kind: "delete", before, after }];
  if (isBag(before) && isBag(after) && !isSecret(before) && !isSecret(after)) {
    return compare(before, after).map((change) => ({ ...change, path: `${path}.${change.path}` }));
  }
  if (Array.isArray(before) && Array.isArray(after)) return compareArrays(path, before, after);
  return [{ path, kind: "update", before, after }];
}

function compareArrays(path: string, before: unknown[], after: unknown[]): PropertyChange[] {
  const length = Math.max(before.length, after.length);
  return Array.from({ length }, (_, index) => compareValue(`${path}[${index}]`, before[index], after[index])).flat();
}

/** `inputs`, but as they were before at each of `paths` (dotted). */
export function keepOld(inputs: Properties, before: Properties, paths: readonly string[]): Properties {
  const kept = structuredClone(inputs);
  for (const path of paths) keepAt(kept, before, path.split("."));
  return kept;
}

function keepAt(target: Properties, before: Properties, [key, ...rest]: string[]): void {
  if (key === undefined) return;
  const inner = [target[key], before[key]];
  if (rest.length > 0 && isBag(inner[0]) && isBag(inner[1])) keepAt(inner[0], inner[1], rest);
  else if (before[key] === undefined) delete target[key];
  else target[key] = before[key];
}
