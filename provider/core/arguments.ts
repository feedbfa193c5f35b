/** Checking what a user wrote against a resource's schema: strict, in sentences, and patient with values that are not known yet. */

import { z } from "zod";
import { isEqual } from "./equal.js";
import { UserError } from "./errors.js";
import type { CheckFailure, Properties } from "./lifecycle.js";

/** How values that the engine does not know yet come in a preview: text, boolean, number, array, object. @see sdk/go …/plugin/rpc.go */
const unknowns: ReadonlySet<string> = new Set([
  "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
  "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
]);

/** Whether a value, or anything in it, is not known yet. */
export function isUnknown(value: unknown): boolean {
  if (typeof value === "string") return unknowns.has(value);
  return typeof value === "object" && value !== null && Object.values(value).some(isUnknown);
}

/** The arguments with every default written in; or what is wrong with them. Unknown values stay as they are. */
export function checkArguments(schema: z.ZodObject, news: Properties): { inputs: Properties; failures: CheckFailure[] } {
  const known = withoutEmpty(news);
  const { value, issues } = checkValue(schema, known);
  const names = Object.keys(schema.shape);
  return { inputs: isBag(value) ? value : known, failures: issues.flatMap((issue) => failuresOf(issue, names)) };
}

/** Without the keys that have no value: a secret output that resolves to `undefined` comes as null (SDK 3.233 to 3.276, serializeSecretValue()). */
function withoutEmpty(bag: Properties): Properties {
  const given = Object.entries(bag).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(given.map(([key, value]) => [key, partsWithoutEmpty(value)]));
}

/** A member of a list is left, so that it is told of. */
function partsWithoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(partsWithoutEmpty);
  return isBag(value) ? withoutEmpty(value) : value;
}

/** The part of zod's issues that is read here. */
type Issue = Pick<z.core.$ZodIssue, "path" | "message"> & { keys?: string[] };

interface Checked {
  value: unknown;
  issues: Issue[];
}

/** What can be said of a value already: its defaults, and what is wrong with those parts of it that are known. */
function checkValue(schema: z.core.$ZodType, value: unknown): Checked {
  if (!isUnknown(value)) {
    const { success, data, error } = z.safeParse(schema, value);
    return success ? { value: data, issues: [] } : { value, issues: error.issues };
  }
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return checkValue(schema.unwrap(), value);
  if (schema instanceof z.ZodArray && Array.isArray(value)) return checkMembers(schema.element, value);
  if (schema instanceof z.ZodUnion && isBag(value)) return checkValue(optionFor(schema, value) ?? z.unknown(), value);
  return schema instanceof z.ZodObject && isBag(value) ? checkBag(schema, value) : { value, issues: [] };
}

/** Rules over several keys wait until all of them are known. */
function checkBag(schema: z.ZodObject, bag: Properties): Checked {
  const later = Object.entries(bag).filter(([key, value]) => key in schema.shape && isUnknown(value));
  const waiting = new Set(later.map(([key]) => key));
  const without = (whole: object) => Object.fromEntries(Object.entries(whole).filter(([key]) => !waiting.has(key)));
  const known = checkValue(new z.ZodObject({ ...schema.def, shape: without(schema.shape), checks: [] }), without(bag));
  const parts = later.map(([key, value]) => [key, checkValue(schema.shape[key] ?? z.unknown(), value)] as const);
  const values = Object.fromEntries(parts.map(([key, part]) => [key, part.value]));
  return { value: { ...(isBag(known.value) ? known.value : bag), ...values }, issues: [...known.issues, ...parts.flatMap(below)] };
}

function checkMembers(element: z.core.$ZodType, members: readonly unknown[]): Checked {
  const checked = members.map((member) => checkValue(element, member));
  return { value: checked.map(({ value }) => value), issues: checked.map((member, index) => [index, member] as const).flatMap(below) };
}

/** Issues of a part, with its place before theirs. */
function below([key, { issues }]: readonly [string | number, Checked]): Issue[] {
  return issues.map((issue) => ({ ...issue, path: [key, ...issue.path] }));
}

/** Of a union of objects the one that has all the keys which were given. */
function optionFor(schema: z.ZodUnion, bag: Properties): z.core.$ZodType | undefined {
  return schema.options.find((option) => option instanceof z.ZodObject && Object.keys(bag).every((key) => key in option.shape));
}

function isBag(value: unknown): value is Properties {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function failuresOf({ keys, path, message }: Issue, names: readonly string[]): CheckFailure[] {
  const property = path.map(String).join(".");
  if (keys === undefined || property !== "") return [{ property, reason: sentence(property, message) }];
  return keys.map((key) => ({ property: key, reason: `there is no argument \`${key}\`; the arguments are ${names.join(", ")}` }));
}

/** zod's own words begin with "Invalid"; ours name the argument themselves. */
function sentence(property: string, message: string): string {
  return /^(Invalid|Too|Unrecognized)/.test(message) && property !== ""
    ? `${property}: ${message.charAt(0).toLowerCase()}${message.slice(1)}`
    : message;
}

/** The declared arguments among a resource's properties. */
export function argumentsOf(schema: z.ZodObject, properties: Properties): Properties {
  return Object.fromEntries(Object.keys(schema.shape).flatMap((key) => (properties[key] === undefined ? [] : [[key, properties[key]]])));
}

/**
 * The arguments in a resource's state, as a lifecycle works with them. What an older version did not know has its default.
 * @throws UserError if they are not whole: what a program gives to `get` comes without a check
 */
export function settingsIn<S extends z.ZodObject>(schema: S, properties: Properties): z.output<S> {
  const result = schema.safeParse(argumentsOf(schema, properties));
  if (result.success) return result.data;
  const names = Object.keys(schema.shape);
  const reasons = result.error.issues.flatMap((issue) => failuresOf(issue, names)).map(({ reason }) => reason);
  throw new UserError(`Unable to tell which disk is meant: ${reasons.join("; ")}. Nothing was touched. Correct the arguments.`);
}

/** Names of the arguments in which two property bags differ. Where one of them says nothing, as an older version's state may, the default stands. */
export function changedArguments(schema: z.ZodObject, olds: Properties, news: Properties): string[] {
  const arguments_ = Object.entries(schema.shape);
  return arguments_.filter(([key, argument]) => !isEqual(meant(argument, olds[key]), meant(argument, news[key]))).map(([key]) => key);
}

function meant(argument: z.core.$ZodType, value: unknown): unknown {
  return z.safeParse(argument, value).data ?? value;
}

/** Whether two values differ for sure: a part that is not known yet does not, and the parts beside it do if they differ. */
export function surelyDiffer(old: unknown, now: unknown): boolean {
  return old !== undefined && partsDiffer(old, now);
}

function partsDiffer(old: unknown, now: unknown): boolean {
  if (!isUnknown(now)) return !isEqual(old, now);
  if (Array.isArray(now)) return !Array.isArray(old) || old.length !== now.length || now.some((member, at) => partsDiffer(old[at], member));
  if (!isBag(now)) return false;
  return !isBag(old) || [...new Set([...Object.keys(old), ...Object.keys(now)])].some((key) => partsDiffer(old[key], now[key]));
}
