/** Checking what a user wrote against a resource's schema: strict, in sentences, and patient with values that are not known yet. */

import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import type { CheckFailure, Properties } from "./lifecycle.js";

/** How values that the engine does not know yet come in a preview: text, boolean, number, array, object. @see sdk/go …/plugin/rpc.go */
const unknowns = new Set([
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
  const known = Object.fromEntries(Object.entries(news).filter(([, value]) => value !== undefined));
  const waiting = Object.entries(known).filter(([key, value]) => key in schema.shape && isUnknown(value));
  if (waiting.length === 0) return parsed(schema, known, {});
  // rules over several arguments wait until all of them are known
  const later = new Set(waiting.map(([key]) => key));
  const without = (bag: object) => Object.fromEntries(Object.entries(bag).filter(([key]) => !later.has(key)));
  return parsed(z.strictObject(without(schema.shape)), without(known), Object.fromEntries(waiting), Object.keys(schema.shape));
}

function parsed(schema: z.ZodObject, news: Properties, waiting: Properties, names = Object.keys(schema.shape)) {
  const result = schema.safeParse(news);
  if (result.success) return { inputs: { ...result.data, ...waiting }, failures: [] };
  return { inputs: { ...news, ...waiting }, failures: result.error.issues.flatMap((issue) => failuresOf(issue, names)) };
}

function failuresOf(issue: z.core.$ZodIssue, names: readonly string[]): CheckFailure[] {
  const property = issue.path.map(String).join(".");
  if (issue.code !== "unrecognized_keys" || property !== "") return [{ property, reason: sentence(property, issue.message) }];
  return issue.keys.map((key) => ({ property: key, reason: `there is no argument \`${key}\`; the arguments are ${names.join(", ")}` }));
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

/** Names of the arguments in which two property bags differ. */
export function changedArguments(schema: z.ZodObject, olds: Properties, news: Properties): string[] {
  return Object.keys(schema.shape).filter((key) => !isDeepStrictEqual(olds[key], news[key]));
}

/** Whether two values differ for sure; one that is not known yet does not. */
export function surelyDiffer(old: unknown, now: unknown): boolean {
  return old !== undefined && !isUnknown(now) && !isDeepStrictEqual(old, now);
}
