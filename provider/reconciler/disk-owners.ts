/** One disk has one owner of its place: the resources of this process acquire their disks, by what the disks are and not by what they are called. */

import { UserError } from "../core/errors.js";

/** What acquires a disk: the resource, and its name for the disk. Without a URN it owns nothing. */
interface Claimant {
  urn: string;
  disk: string;
}

/** Those of a world. */
export class DiskOwners {
  readonly #owners = new Map<string, string>();

  /**
   * Acquires (domain id, qdev) for a resource, for the life of this process.
   * @throws UserError naming both resources
   */
  acquire(domainId: string, qdev: string, { urn, disk }: Claimant): void {
    if (urn === "") return;
    const key = keyOf(domainId, qdev);
    const other = this.#owners.get(key);
    if (other !== undefined && other !== urn) {
      throw new UserError(
        `Unable to manage ${disk}: ${nameOf(urn)} and ${nameOf(other)} are the same disk of the same guest, and only one resource may declare the place of a disk. ` +
          "Nothing was touched. Take the disk out of one of the two.",
      );
    }
    this.#owners.set(key, urn);
  }

  /** Gives the disk free for another resource of this process. */
  release(domainId: string, qdev: string, urn: string): void {
    const key = keyOf(domainId, qdev);
    if (this.#owners.get(key) === urn) this.#owners.delete(key);
  }
}

function keyOf(domainId: string, qdev: string): string {
  return `${domainId}\0${qdev}`;
}

/** The last part of a URN: the resource's name in the program. */
function nameOf(urn: string): string {
  return urn.split("::").slice(-2).join(" ");
}
