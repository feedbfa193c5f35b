/** Manifests as moves write them, on paths that are nowhere. */

import { type DiskKey, fileNames, nodeNames, quarantineName } from "../../provider/core/disk/names.js";
import type { Manifest } from "../../provider/journal/manifest.js";

export * from "../../provider/journal/manifest.js";

export function committed(key: DiskKey): { mirror: Manifest; snapshot: Manifest; pull: Manifest } {
  const identity = { dev: "1", ino: "2", sizeBytes: 3, modified: "4.5" };
  const below = { format: "raw", identity, coming: "copy" as const };
  const base = { ...below, source: "/path1/base.raw", destination: "/path2/base.raw" };
  const mirror: Manifest = {
    ...{ version: 1, domainId: "domain", qdev: "vda", disk: "vda", strategy: "mirror", startedAt: "x", afterwards: "quarantine" },
    source: { active: "/path1/disk.qcow2", dev: "1", ino: "1" },
    chain: [
      { path: "/path1/disk.qcow2", dev: "1", ino: "1", format: "qcow2" },
      { path: "/path1/base.raw", dev: "1", ino: "2", format: "raw" },
    ],
    destination: {
      ...{ directory: "/path2", active: "/path2/disk.qcow2", target: "/path2/disk.qcow2", node: nodeNames.targets(key)[0] },
      backing: { name: "base.raw", format: "raw" },
    },
    layers: [base],
    ...{ quarantine: `/path1/${quarantineName("disk.qcow2", key, new Date(0))}`, formerNodes: [], current: "/path1/disk.qcow2" },
  };
  const overlay = {
    ...{ collapse: "commit" as const, path: `/path1/${fileNames.overlay(key)}`, node: nodeNames.overlay(key), made: identity },
    ...{ landing: "/path2/disk.qcow2", landingNode: nodeNames.landings(key)[0] },
  };
  const frozen = { ...below, format: "qcow2", source: "/path1/disk.qcow2", destination: "/path2/disk.qcow2" };
  const snapshot: Manifest = {
    ...{ ...mirror, strategy: "snapshot", overlay, layers: [frozen, base] },
    destination: { ...mirror.destination, target: `/path2/${fileNames.overlay(key)}`, backing: { name: "disk.qcow2", format: "qcow2" } },
  };
  const landing = `/path2/${fileNames.passing("disk.qcow2", key)}`;
  const pull: Manifest = {
    ...{ ...snapshot, destination: { ...snapshot.destination, target: "/path2/disk.qcow2" } },
    ...{ overlay: { ...overlay, collapse: "pull", landing }, layers: [{ ...frozen, destination: landing }, base] },
  };
  return { mirror, snapshot, pull };
}
