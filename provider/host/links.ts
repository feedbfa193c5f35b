/** Symbolic links on the host. Each function is one round trip. */

import { UserError } from "../core/errors.js";
import type { Host } from "./host.js";

/**
 * What the link says, unresolved; undefined where there is no link.
 *
 * @host readlink
 * @for reading
 * @does reads what a link says
 * @changes nothing
 * @as the account
 * @why a link is re-pointed only where it says what the move knows
 */
export async function readLink(host: Host, path: string): Promise<string | undefined> {
  const { exitStatus, stdout } = await host.run(`[ -L "$1" ] && readlink -n -- "$1"`, [path]);
  return exitStatus === 0 ? stdout : undefined;
}

/**
 * Makes `path` a link to `leadsTo`; a link that is there is replaced, anything else is refused.
 *
 * @host ln
 * @for records
 * @does makes a link, or replaces one; anything else of that name is refused
 * @changes the links beside `link` that the switch puts in its place, and the one that leads to a raw image's empty file
 * @as the account
 * @why a switch re-points `link` by one rename
 */
export async function makeSymlink(host: Host, leadsTo: string, path: string): Promise<void> {
  await done(
    host,
    `[ -L "$2" ] || [ ! -e "$2" ] || { echo "$2 is no link" >&2; exit 1; }; ln -s -f -n -T -- "$1" "$2"`,
    [leadsTo, path],
    `make the link ${path}`,
  );
}

/**
 * Lets the link `next` take the place of `path` in one move, on disk when this returns.
 *
 * @host mv, sync
 * @for records
 * @does puts a new link in the place of `link` by one rename, and syncs the directory
 * @changes where `link` leads
 * @as the account
 * @why a switch that was cut is put right: the link leads where the guest is
 */
export async function replaceLink(host: Host, next: string, path: string): Promise<void> {
  await done(host, `mv -T -- "$1" "$2" && sync -- "\${2%/*}/"`, [next, path], `re-point the link ${path}`);
}

async function done(host: Host, script: string, args: readonly string[], what: string): Promise<void> {
  const { exitStatus, stderr } = await host.run(script, args);
  if (exitStatus === 0) return;
  throw new UserError(
    `Unable to ${what} on ${host.name}: ${stderr.trim().split("\n").pop()}. Make its directory writable for this account, then run again.`,
  );
}
