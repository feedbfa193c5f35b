/** One disk has one owner of its place: within this process the resources claim their disks, by what the disks are and not by what they are called. */

import { UserError } from "../core/errors.js";

const owners = new Map<string, string>();

/**
 * Claims (domain id, qdev) for a resource, for the life of this process.
 * @throws UserError naming both resources
 */
export function claim(domainId: string, qdev: string, owner: string, disk: string): void {
  if (owner === "") return;
  const key = `${domainId}\0${qdev}`;
  const other = owners.get(key);
  if (other !== undefined && other !== owner) {
    throw new UserError(
      `Unable to manage ${disk}: ${nameOf(owner)} and ${nameOf(other)} are the same disk of the same guest, and only one resource may declare the place of a disk. ` +
        "Nothing was touched. Take the disk out of one of the two.",
    );
  }
  owners.set(key, owner);
}

/** Gives the disk free for another resource of this process. */
export function disclaim(domainId: string, qdev: string, owner: string): void {
  const key = `${domainId}\0${qdev}`;
  if (owners.get(key) === owner) owners.delete(key);
}

/** The last part of a URN: the resource's name in the program. */
function nameOf(urn: string): string {
  return urn.split("::").slice(-2).join(" ");
}
