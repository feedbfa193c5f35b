/** Reads from the stack's config, or from the explicit `Provider`, what no resource argument says: the secrets for signing in, and how many moves at once. */

import { UserError } from "../errors.js";
import type { Credentials } from "../host/host.js";

/** The config as the dynamic provider's `configure` is given it. */
export interface Config {
  get(key: string): string | undefined;
}

const keys = ["privateKey", "passphrase", "password"] as const;

/** `livedisk:privateKey`, `livedisk:passphrase` and `livedisk:password`, those that are set. */
export function readCredentials(config: Config): Credentials {
  const set = keys.map((key) => [key, config.get(`livedisk:${key}`)] as const).filter(([, value]) => value !== undefined && value !== "");
  return Object.fromEntries(set);
}

/** `livedisk:movesPerHost`, where it is set. @throws UserError if that is no whole number from 1 on */
export function readMovesPerHost(config: Config): number | undefined {
  const text = config.get("livedisk:movesPerHost");
  if (text === undefined || text === "") return undefined;
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new UserError(
    `Unable to begin: livedisk:movesPerHost is "${text}", and not a whole number from 1 on. Nothing was touched. Correct it with \`pulumi config set livedisk:movesPerHost 2\`.`,
  );
}
