/** From the user's name of a disk to the disk. */

import { UserError } from "../core/errors.js";
import type { ChainsView, DiskView, Guest } from "./hypervisor.js";

/**
 * The one disk of the guest that has this name; by its serial number only where nothing else has it.
 * @throws UserError if there is none, more than one, or the name is one that changes with every start
 */
export async function findDisk(guest: Pick<Guest, "name" | "serials">, view: Pick<ChainsView, "disks">, name: string): Promise<DiskView> {
  const refuse = (why: string) => new UserError(`Unable to find the disk "${name}" of ${guest.name}: ${why} It has ${listOf(view.disks)}.`);
  if (name.startsWith("#")) throw refuse("names like #block123 are QEMU's own and change with every start.");
  const named = view.disks.filter((disk) => disk.names.includes(name));
  if (named.length > 1) throw refuse(`${named.map((disk) => disk.qdev).join(" and ")} both go by it. Use a name that only one has.`);
  const [disk] = named;
  if (disk) return disk;
  const serials = await guest.serials(view.disks.map(({ qdev }) => qdev));
  const [withSerial, ...more] = view.disks.filter((_, index) => serials[index] === name);
  if (withSerial && more.length > 0) {
    const both = [withSerial, ...more].map(({ qdev }) => qdev).join(" and ");
    throw refuse(`the serial number "${name}" is that of ${both}. Name one of these.`);
  }
  if (withSerial) return withSerial;
  throw refuse("no device id, QOM path, drive id or serial number is like that. Correct `disk`.");
}

function listOf(disks: readonly DiskView[]): string {
  if (disks.length === 0) return "no disks at all";
  return disks.map(({ qdev, names }) => names.filter((name) => !name.includes("/")).join(" or ") || qdev).join(", ");
}
