/** What a file is, beyond its name. identity.py makes it; the same comparison is there, and one list of cases holds both. */

import { z } from "zod";

/** Parts that could not be had are null. */
export const identity = z.object({
  /** name_to_handle_at(2): inode and generation, in the file system's own form. */
  handle: z.string().nullable(),
  inode: z.string(),
  birthNs: z.string().nullable(),
  /** Means something within one boot only. */
  device: z.string(),
  bootId: z.string(),
  fileSystem: z.object({
    kind: z.string().nullable(),
    source: z.string().nullable(),
    uuid: z.string().nullable(),
    fsid: z.string().nullable(),
  }),
});

export type Identity = z.output<typeof identity>;
export type Comparison = "same" | "different" | "unknown";

/** Their f_fsid comes from the UUID that is on the disk. XFS's is the device's number, which changes with a reboot. */
const lastingFsid = ["ext2", "ext3", "ext4", "btrfs", "f2fs"];

/** A missing part never counts as equal. Unknown removes nothing and joins nothing. */
export function compareIdentities(one: Identity, two: Identity): Comparison {
  const systems = compareFileSystems(one, two);
  return systems === "same" ? compareFiles(one, two) : systems;
}

/** In one file system. */
function compareFiles(one: Identity, two: Identity): Comparison {
  if (one.inode !== two.inode) return "different";
  const handles = equal(one.handle, two.handle);
  return handles === "unknown" ? equal(one.birthNs, two.birthNs) : handles;
}

function compareFileSystems(one: Identity, two: Identity): Comparison {
  const [a, b] = [one.fileSystem, two.fileSystem];
  const uuids = equal(a.uuid, b.uuid);
  if (uuids === "different") return "different";
  if (one.bootId === two.bootId && one.device === two.device) return "same";
  // Subvolumes of btrfs share a UUID; their f_fsid differs, and their inodes are counted apart.
  if (uuids === "same") return a.kind === "btrfs" ? equal(a.fsid, b.fsid) : "same";
  if (a.kind !== b.kind) return "unknown";
  if (isNetwork(a.source) && a.source === b.source) return "same";
  return a.kind !== null && lastingFsid.includes(a.kind) ? equal(a.fsid, b.fsid) : "unknown";
}

/** `host:/export` or `//host/share`: a name that means the same after a reboot, as `tmpfs` or `/dev/sda` may not. */
function isNetwork(source: string | null): boolean {
  return source !== null && (source.startsWith("//") || (source.includes(":") && !source.startsWith("/")));
}

function equal(one: string | null, two: string | null): Comparison {
  if (one === null || two === null) return "unknown";
  return one === two ? "same" : "different";
}
