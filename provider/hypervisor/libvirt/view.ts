/** From what libvirt and the images' headers say to the disks of a guest. Pure. */

import type { BackingChain, Layer } from "../../core/disk/chain.js";
import type { Job, JobStatus } from "../../core/disk/job.js";
import { diskKey, jobNames } from "../../core/disk/names.js";
import type { Headers } from "../../image/headers.js";
import type { ImageHeader } from "../../image/qemu-img.js";
import { type DiskView, type GuestView, type ImageView, shutOff } from "../hypervisor.js";
import type { DiskXml, DomainXml, FileXml } from "./domain-xml.js";
import { type Progress, progressOf } from "./progress.js";

/** All that was asked about one domain. */
export interface DomainSaid {
  /** As it runs; where it does not, as it is defined. */
  live: DomainXml;
  /** As it will start next; undefined for a transient domain, which will not. */
  persistent: DomainXml | undefined;
  /** As `virsh domstate` calls it. */
  state: string;
  /** By path of the active image: its own header and those below it, as far as they were read; or why not. */
  headers: ReadonlyMap<string, Headers>;
  /** By the disk's target: how far its copy is, where libvirt tells. */
  progress: ReadonlyMap<string, Progress>;
}

export function viewOf(said: DomainSaid): GuestView {
  const { live, state } = said;
  return {
    domainId: live.uuid,
    status: live.isActive ? state : shutOff,
    disks: live.disks.map((disk) => diskOf(disk, said)),
    jobs: live.disks.flatMap((disk) => jobOf(disk, said)),
    nodes: [], // libvirt's own, and no business of ours: they change whenever it likes
    ...(live.suspension && { suspension: live.suspension }),
  };
}

function diskOf(disk: DiskXml, said: DomainSaid): DiskView {
  const names = [disk.target, disk.alias ?? ""].filter((name) => name !== "");
  return { qdev: disk.target, names, medium: mediumOf(disk, said) };
}

function mediumOf(disk: DiskXml, said: DomainSaid): DiskView["medium"] {
  if (disk.source.kind !== "file") return disk.source;
  const headers = said.headers.get(disk.source.path) ?? { why: "its header was not read" };
  const image = imageOf(disk, disk.source, headers, said);
  return "why" in image ? { kind: "unsupported", why: image.why } : { kind: "image", ...image };
}

function imageOf(disk: DiskXml, active: FileXml, headers: Headers, said: DomainSaid): ImageView | { why: string } {
  // of a chain that the XML leaves open, only the headers tell; of one that runs, libvirt knows the layers even if we cannot read them
  if ("why" in headers && disk.below === undefined) return headers;
  const read = "why" in headers ? [] : headers;
  const files = disk.below === undefined ? read.map(({ path, format }) => ({ path, format })) : [active, ...disk.below];
  const [top, ...below] = files.map((file) => layerOf(file, read));
  if (!top) return { why: "its header was not read" };
  const chain: BackingChain = [top, ...below];
  const header = read[0];
  const strange = files.find(({ format }) => !["qcow2", "raw"].includes(format));
  if (strange) return { why: `the format of ${strange.path} is ${strange.format}; only qcow2 and raw can be moved` };
  const definedAt = definedPath(disk.target, said.persistent);
  return {
    readOnly: disk.readOnly,
    rootNode: disk.target,
    activeNode: disk.target,
    chain,
    cache: disk.cache,
    detectZeroes: disk.detectZeroes,
    creation: { format: active.format, options: header?.options ?? {} },
    dirtyBitmaps: header?.dirtyBitmaps ?? [],
    persistentBitmaps: header?.dirtyBitmaps ?? [],
    internalSnapshots: header?.internalSnapshots ?? [],
    ...(definedAt === undefined ? {} : { definedAt }),
    ...("why" in headers ? { unread: headers.why } : {}),
  };
}

function layerOf({ path, format }: FileXml, headers: readonly ImageHeader[]): Layer {
  const header = headers.find((each) => each.path === path);
  return {
    path,
    format,
    virtualBytes: header?.virtualBytes ?? 0,
    allocatedBytes: header?.allocatedBytes ?? 0,
    ...(header?.backingName === undefined ? {} : { backingName: header.backingName }),
    ...(header?.backingFormat === undefined ? {} : { backingFormat: header.backingFormat }),
  };
}

function definedPath(target: string, persistent: DomainXml | undefined): string | undefined {
  const source = persistent?.disks.find((disk) => disk.target === target)?.source;
  return source?.kind === "file" ? source.path : undefined;
}

/**
 * A copy or an active commit has the name that ours would have, and says onto which file it goes: only who has the manifest knows
 * whether that is ours. A pull is not told in the XML (`Observer.lookForPull`).
 * It waits for nobody at its end: libvirt's jobs end with their pivot or abort, and vanish.
 */
function jobOf({ target, mirror }: DiskXml, { live, progress }: DomainSaid): Job[] {
  const kind = mirror && kinds[mirror.job];
  if (!kind) return [];
  return [
    {
      id: kind.id(diskKey(live.uuid, target)),
      type: kind.type,
      status: statusOf(mirror.ready),
      ...progressOf(progress.get(target)),
      ioStatus: "ok",
      target: mirror.path,
    },
  ];
}

/** @see libvirt, virDomainBlockJob: what else has a mirror there (block dirty bitmaps, migrations) is nobody's of ours */
const kinds: Readonly<Record<string, { id: (key: string) => string; type: string }>> = {
  copy: { id: jobNames.mirror, type: "mirror" },
  "active-commit": { id: jobNames.commit, type: "commit" },
};

/** @see libvirt, virDomainDiskMirrorState: none, yes, abort, pivot */
function statusOf(ready: string): JobStatus {
  if (ready === "yes") return "ready";
  return ready === "abort" || ready === "pivot" ? "waiting" : "running";
}
