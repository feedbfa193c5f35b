/**
 * Which tests run when. `unit`: what starts neither guest nor sshd nor libvirtd, by its imports. `usual`: these, and what a change breaks most
 * often. `all`: every file but the long ones, which run only where they are named.
 */

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { reachable, type Sources } from "./architecture/imports.js";

export const tiers = ["unit", "usual", "all"] as const;
export type Tier = (typeof tiers)[number];

/** What takes many minutes: `npm run test:adversity`, `npm run test:matrix`, `npm run rows`, and the faults of libvirt. */
const long = /(^|\/)(adversity|matrix)\/|^(test\/)?rows\/at-length\/|^(test\/)?hypervisor\/libvirt\/(snapshot-)?faults/;

/** What starts a machine, or a server that signs in. */
const heavy = [
  ...["guest", "managed-guest", "sshd", "libvirtd", "sandbox"].map((name) => `sandbox/${name}.ts`),
  "hypervisor/qemu/bare-guest.ts",
];

/** Slow, or starting a guest in a process of their own: benchmarks, installs of packages, the SDK's real processes, a program cut at every call, real waits, type checks. */
const slow =
  /^(cuts|engine|examples)\/|^bench\.|^host\/worker\/(switching|libvirt-switching|protocol|python)|^pulumi\/provider-process|^flows\/move\/(astray|cut-switch)/;

/** Parts of paths below test/. */
const usual = [
  "domain-disk/",
  "e2e/move",
  "engine/harness",
  "faults/",
  "host/",
  "hypervisor/libvirt/look",
  "hypervisor/libvirt/move",
  "hypervisor/qemu/",
  "image/",
  "mirrored-snapshot/life",
  "pulumi/",
  "rows/",
  "security/",
  "storage-migration/adopt",
  "storage-migration/all-or-none",
  "storage-migration/destination",
  "storage-migration/disk",
  "storage-migration/drift",
  "storage-migration/link",
  "storage-migration/overlay",
  "storage-migration/ownership",
];

/** What of these folders takes a minute by itself: a program cut at every system call, a guest that is killed at every stage, a run that sleeps, definitions that change meanwhile. */
const seldom =
  /^(host\/worker\/switching|faults\/pairs)|^rows\/(asleep|busy-qemu|cut-together|drift|far-client|hostile-directory|libvirt-definition|libvirt-pause|libvirt-power|libvirtd-down|lock|overlays|read-only-link|slow-storage|supervised|three-file-systems|unwritten-switch)/;

const sourceFolder = path.resolve(__dirname, "../../test");

let sources: Sources | undefined;

function readSources(): Sources {
  const files = readdirSync(sourceFolder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
  return new Map(files.map((file) => [file.split(path.sep).join("/"), readFileSync(path.join(sourceFolder, file), "utf8")]));
}

/** @param name as `e2e/move.test.js`, below test/ */
export function isIn(tier: Tier, name: string): boolean {
  if (long.test(name)) return false;
  if (tier === "all" || isUnit(name)) return true;
  return tier === "usual" && !seldom.test(name) && usual.some((part) => name.includes(part));
}

export function isLong(name: string): boolean {
  return long.test(name);
}

function isUnit(name: string): boolean {
  sources ??= readSources();
  const reached = reachable(name.replace(/\.js$/, ".ts"), sources);
  return !slow.test(name) && !heavy.some((file) => reached.has(file));
}
