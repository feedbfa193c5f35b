/** What may go into the engine's state: JSON values and nothing else. An `undefined`, a Date or a bigint would fail the whole call. */

import { BugError } from "../core/errors.js";
import type { Properties } from "../core/lifecycle.js";

/**
 * `bag` as JSON values: keys without a value are left out, texts are made well-formed Unicode.
 * @throws BugError if it holds anything that JSON cannot say; the message names the place
 */
export function toState(bag: Properties): Properties {
  return encodeObject(bag, "");
}

function encodeObject(value: object, path: string): Properties {
  const kept = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(kept.map(([key, member]) => [key, encode(member, path === "" ? key : `${path}.${key}`)]));
}

function encode(value: unknown, path: string): unknown {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") return value.toWellFormed();
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map((member, index) => encode(member, `${path}[${index}]`));
  if (typeof value === "object" && isPlain(value)) return encodeObject(value, path);
  throw new BugError(`Unable to keep ${path} in the state: it is ${describe(value)}, which JSON cannot say.`);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function describe(value: unknown): string {
  return typeof value === "object" && value !== null ? `a ${value.constructor.name}` : `${typeof value} ${String(value)}`;
}
