/** What nodes and mirrors of ours are started with. @see QEMU QMP reference, BlockdevOptions and blockdev-mirror */

import { type ChainFiles, chainOptions } from "../../core/disk/chain-options.js";
import {
  type CollapseOptions,
  type CommitNodes,
  type ImageView,
  type MirrorOptions,
  mirrorBufferBytes,
  type TargetOptions,
} from "../hypervisor.js";

type Cache = TargetOptions["cache"];

const cacheOptions = (cache: Cache) => ({ direct: cache.direct, "no-flush": cache.noFlush });

/** A file right on its protocol: no format is guessed, nothing is written. */
export function probeOptions(node: string, path: string, cache: Cache): object {
  return { driver: "file", "node-name": node, filename: path, cache: cacheOptions(cache) };
}

/** Read-only and by itself: it is held alone, without the layers below. */
export function holdOptions(node: string, path: string, format: string): object {
  return {
    driver: format,
    "node-name": node,
    "read-only": true,
    file: { driver: "file", "node-name": `${node}-file`, filename: path, "read-only": true },
    ...(format === "qcow2" ? { backing: null } : {}),
  };
}

/**
 * Without a `backing` key QEMU opens the chain by the header's own names; layers below inherit the cache either way. `backing: null` would let
 * a mirror with copy-mode write-blocking fill clusters with zeroes (do_sync_target_write() in block/mirror.c, measured on 7.2 and 10.0).
 */
export function targetOptions(node: string, options: TargetOptions): object {
  const [next, ...rest] = options.below ?? [];
  const below: ChainFiles | undefined = next && [next, ...rest];
  const cache = cacheOptions(options.cache);
  return {
    driver: options.format,
    "node-name": node,
    ...(options.backing !== undefined ? { backing: options.backing } : below && { backing: chainOptions(below) }),
    discard: "unmap",
    "detect-zeroes": options.detectZeroes,
    cache,
    file: { driver: "file", "node-name": `${node}-file`, filename: options.path, discard: "unmap", cache },
  };
}

/** Its backing comes with the snapshot: until then it must have none (external_snapshot_action() in blockdev.c, QEMU 7.2). */
export function overlayOptions(node: string, options: TargetOptions): object {
  return { ...targetOptions(node, options), backing: null };
}

/** An option that is left out would go back to its default, so all are said again; the protocol node below stays as it is. */
export function reopenOptions(node: string, options: TargetOptions & { backing: string }): object {
  return { ...targetOptions(node, options), file: `${node}-file` };
}

/** Read-only as any layer below an active one; `auto-read-only` lets a commit write to the file. */
export function layerOptions(node: string, options: TargetOptions): object {
  const target = targetOptions(node, options);
  const cache = cacheOptions(options.cache);
  const file = { driver: "file", "node-name": `${node}-file`, filename: options.path, "auto-read-only": true, discard: "unmap", cache };
  return { ...target, "read-only": true, file };
}

/** With a filter above the overlay, the commit starts at the filter and names the overlay as its top. */
export function commitArguments(names: { job: string; filter: string }, { root, top, base, maxBytesPerSecond }: CommitNodes): object {
  return {
    ...{ "job-id": names.job, device: root, "top-node": top, "base-node": base, speed: maxBytesPerSecond },
    ...{ "filter-node-name": names.filter, "on-error": "stop", "auto-finalize": false, "auto-dismiss": false },
  };
}

/**
 * `auto-dismiss`, unlike all other jobs of ours: between its end and its dismissal the filter of a stream stands there without anything
 * below it, and the first query-named-block-nodes ends QEMU (cor_getlength() in block/copy-on-read.c; seen on 7.2: SIGSEGV).
 */
export function pullArguments(
  names: { job: string; filter: string },
  { top, base, backingName, maxBytesPerSecond }: CollapseOptions,
): object {
  return {
    ...{ "job-id": names.job, device: top, speed: maxBytesPerSecond },
    ...(base === undefined ? {} : { "base-node": base, ...(backingName === undefined ? {} : { "backing-file": backingName }) }),
    ...{ "filter-node-name": names.filter, "on-error": "stop", "auto-finalize": false, "auto-dismiss": true },
  };
}

/**
 * Errors stop the job, not the guest, and every ending waits for us.
 * A mirror starts only at a root node ("Need a root block node": qmp_get_root_bs() in blockdev.c, QEMU 7.2), so with a filter above the
 * active image it starts at the filter and replaces the image below it.
 */
export function mirrorArguments(
  names: { job: string; target: string; filter: string },
  { source, sync, copyMode, maxBytesPerSecond }: MirrorOptions,
  images: readonly ImageView[],
): object {
  const root = images.find(({ activeNode }) => activeNode === source)?.rootNode ?? source;
  return {
    "job-id": names.job,
    device: root,
    ...(root === source ? {} : { replaces: source }),
    target: names.target,
    sync,
    "copy-mode": copyMode,
    speed: maxBytesPerSecond,
    "buf-size": mirrorBufferBytes(maxBytesPerSecond),
    "filter-node-name": names.filter,
    "on-source-error": "stop",
    "on-target-error": "stop",
    "auto-finalize": false,
    "auto-dismiss": false,
  };
}
