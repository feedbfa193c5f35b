/** Reads from the stack's config, or from the explicit `Provider`, what no resource argument says: how to sign in, and how many moves at once. */

import type { Credentials } from "../core/credentials.js";
import { UserError } from "../core/errors.js";
import { parseJson } from "../core/json.js";

/** The config as the dynamic provider's `configure` is given it. Null: a secret output without a value (SDK 3.276, serializeSecretValue()). */
export interface Config {
  get(key: string): string | undefined | null;
}

const keys = ["privateKey", "passphrase", "password"] as const;

function settingOf(config: Config, key: string): string | undefined {
  return config.get(`livedisk:${key}`) || undefined;
}

/**
 * `livedisk:privateKey`, `livedisk:passphrase`, `livedisk:password` and `livedisk:passwordFor`, those that are set.
 * @throws UserError if `livedisk:passwordFor` is not a list of addresses
 */
export function readCredentials(config: Config): Credentials {
  const set = keys.map((key) => [key, settingOf(config, key)] as const).filter(([, value]) => value !== undefined);
  const passwordFor = readPasswordFor(settingOf(config, "passwordFor"));
  return { ...Object.fromEntries(set), ...(passwordFor !== undefined && { passwordFor }) };
}

/** A name or IP address, or one of them and a port. No patterns: what they would name nobody can see in the list. */
const hostEntry = /^(\[[^\s/@[\]*?]+\](:\d{1,5})?|[^\s/@[\]*?]+)$/;

/** A list in the config is handed over as JSON (Pulumi engine, config.Value of an object). */
function readPasswordFor(text: string | undefined): string[] | undefined {
  if (text === undefined) return undefined;
  const list = parsedList(text);
  if (list === undefined) throw notHosts(`is ${JSON.stringify(text)}, and not a list of addresses`);
  return list.map((entry) => {
    if (typeof entry === "string" && hostEntry.test(entry)) return entry;
    throw notHosts(`holds ${JSON.stringify(entry)}, which is neither an address nor an address and a port`);
  });
}

function notHosts(what: string): UserError {
  return new UserError(
    `Unable to begin: livedisk:passwordFor ${what}. Nothing was touched. ` +
      "Correct it with `pulumi config set --path 'livedisk:passwordFor[0]' db-3.example.org`.",
  );
}

function parsedList(text: string): unknown[] | undefined {
  const value = parseJson(text);
  return Array.isArray(value) ? value : undefined;
}

/** `livedisk:movesPerHost`, where it is set. @throws UserError if that is no whole number from 1 on */
export function readMovesPerHost(config: Config): number | undefined {
  const text = settingOf(config, "movesPerHost");
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new UserError(
    `Unable to begin: livedisk:movesPerHost is "${text}", and not a whole number from 1 on. Nothing was touched. Correct it with \`pulumi config set livedisk:movesPerHost 2\`.`,
  );
}
