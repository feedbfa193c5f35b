/**
 * Rows that are known to fail, with the reason (`known-broken.json`: full title → reason): they count as broken, not as failed. One that
 * passes while it is listed fails the run, and so does a listed one that is not there: so the list says what is true.
 */

import { existsSync, readFileSync } from "node:fs";
import path from "node:path";

/** Full titles of rows, each with why it fails. */
export type KnownBroken = Readonly<Record<string, string>>;

const list = path.resolve(__dirname, "../../test/known-broken.json");

export function readKnownBroken(): KnownBroken {
  return existsSync(list) ? JSON.parse(readFileSync(list, "utf8")) : {};
}

/** One test's end. */
export interface Result {
  title: string;
  /** `hook-failed`: what was to be made before a test, or removed after it, by the hook of this title. */
  state: "passed" | "failed" | "hook-failed" | "skipped";
  /** Of a failed one: the first line of what was thrown. */
  message?: string;
  /** Of one that had a second turn: the first line of what its first one threw. */
  firstFailure?: string;
  /** Of the same: why it may fail once, by its own words. */
  mayFail?: string;
}

export interface Verdict {
  passed: number;
  failed: number;
  skipped: number;
  /** Listed, and failed. */
  broken: readonly Result[];
  /** Had a second turn, however that one ended; the listed ones aside. */
  again: readonly Result[];
  /** What is wrong with the list itself, a sentence each; each counts as a failure. */
  complaints: readonly string[];
}

/** @param scope `all`: every test has run, so that a listed one which has not is not there any more */
export function judge(results: readonly Result[], known: KnownBroken, scope: "all" | "some"): Verdict {
  const isListed = ({ title }: Result) => known[title] !== undefined;
  const count = (state: Result["state"]) => results.filter((result) => result.state === state && !isListed(result)).length;
  const passing = results.filter((result) => isListed(result) && result.state === "passed");
  const missing = scope === "all" ? Object.keys(known).filter((title) => !results.some((result) => result.title === title)) : [];
  const complaints = [
    ...passing.map(({ title }) => `"${title}" passes: take it out of test/known-broken.json.`),
    ...missing.map((title) => `"${title}" is listed in test/known-broken.json, and there is no such test.`),
  ];
  return {
    passed: count("passed"),
    failed: count("failed") + count("hook-failed") + complaints.length,
    skipped: count("skipped") + results.filter((result) => isListed(result) && result.state === "skipped").length,
    broken: results.filter((result) => isListed(result) && result.state === "failed"),
    again: results.filter((result) => !isListed(result) && result.firstFailure !== undefined),
    complaints,
  };
}
