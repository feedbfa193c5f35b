/**
 * What a file is, beyond its name: so that it is known again after a rename, a reboot, or when another one has got its inode. The worker makes it
 * (host/worker/identity.py) and has the same comparison; one list of cases holds both.
 */

import { z } from "zod";

/** Parts that could not be had are null. */
export const identity = z.object({
  /** name_to_handle_at(2): inode and generation, in the file system's own form. */
  handle: z.string().nullable(),
  inode: z.string(),
  birthNs: z.string().nullable(),
  /** Means something within one boot only, and as long as the file system is mounted. */
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

/** Their f_fsid comes from the UUID that is on the disk. XFS's and F2FS's is the device's number, which changes with a reboot. */
const lastingFsid = ["ext2", "ext3", "ext4", "btrfs"];

/** A missing part never counts as equal. Unknown removes nothing and joins nothing. */
export function compareIdentities(one: Identity, two: Identity): Comparison {
  const systems = compareFileSystems(one, two);
  return systems === "same" ? compareWithin(one, two) : systems;
}

/** In one file system. */
function compareWithin(one: Identity, two: Identity): Comparison {
  if (one.inode !== two.inode) return "different";
  const handles = equal(one.handle, two.handle);
  return handles === "unknown" ? equal(one.birthNs, two.birthNs) : handles;
}

function compareFileSystems(one: Identity, two: Identity): Comparison {
  const [a, b] = [one.fileSystem, two.fileSystem];
  const uuids = equal(a.uuid, b.uuid);
  // subvolumes of btrfs share a UUID; their f_fsid differs, and their inodes are counted apart
  const fsids = a.kind !== null && a.kind === b.kind && lastingFsid.includes(a.kind) ? equal(a.fsid, b.fsid) : "unknown";
  // before the device's number, which another file system gets when this one is not mounted any more
  if (uuids === "different" || fsids === "different") return "different";
  if (one.bootId === two.bootId && one.device === two.device) return "same";
  if (uuids === "same") return a.kind === "btrfs" ? fsids : "same";
  if (a.kind !== b.kind) return "unknown";
  if (isNetwork(a.source) && a.source === b.source) return "same";
  return fsids;
}

/** `host:/export` or `//host/share`: a name that means the same after a reboot, as `tmpfs` or `/dev/sda` may not. */
function isNetwork(source: string | null): boolean {
  return source !== null && (source.startsWith("//") || (source.includes(":") && !source.startsWith("/")));
}

function equal(one: string | null, two: string | null): Comparison {
  if (one === null || two === null) return "unknown";
  return one === two ? "same" : "different";
}
