/** Reads the secrets for signing in from the stack's config or from the explicit `Provider`. */

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
