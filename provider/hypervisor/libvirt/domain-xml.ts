/** What a domain's XML says of its disks. Pure. @see https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms */

import { BugError } from "../../core/errors.js";
import type { Suspension } from "../hypervisor.js";
import { suspensionIn } from "./suspension.js";
import { all, child, type Element, parseXml } from "./xml.js";

export interface DomainXml {
  name: string;
  uuid: string;
  /** Whether this is the definition of a domain that runs. */
  isActive: boolean;
  disks: readonly DiskXml[];
  /** The firmware's variables: a file that no move takes along. */
  nvram?: string;
  /** Whom QEMU runs as, where libvirt labels by owner. */
  owner?: { uid: string; gid: string };
  suspension?: Suspension;
}

export interface FileXml {
  path: string;
  format: string;
}

export interface DiskXml {
  /** `vda`: the name in libvirt, unique in its domain. */
  target: string;
  alias?: string;
  serial?: string;
  /** The active image; or why there is none that could move. */
  source: { kind: "none" } | { kind: "unsupported"; why: string } | ({ kind: "file" } & FileXml);
  /** What is below the active image, top first; undefined where the XML leaves it to the headers, as that of a domain that is shut off. */
  below: readonly FileXml[] | undefined;
  readOnly: boolean;
  shared: boolean;
  transient: boolean;
  cache: { direct: boolean; noFlush: boolean };
  detectZeroes: "off" | "on" | "unmap";
  mirror?: { job: string; ready: string; path: string };
  /** As it stands in the definition. */
  element: Element;
}

export function readDomain(text: string): DomainXml {
  const root = parseXml(text, "a domain's XML");
  const name = child(root, "name")?.text;
  const uuid = child(root, "uuid")?.text.trim();
  if (root.name !== "domain" || name === undefined || uuid === undefined) throw new BugError("libvirt's XML of a domain is none.");
  const devices = child(root, "devices");
  const nvram = child(child(root, "os") ?? root, "nvram");
  const nvramPath = nvram && (nvram.text.trim() || child(nvram, "source")?.attributes.file);
  const owner = ownerIn(root);
  const suspension = suspensionIn(root);
  return {
    name,
    uuid,
    isActive: root.attributes.id !== undefined,
    disks: devices ? all(devices, "disk").map(readDisk) : [],
    ...(nvramPath ? { nvram: nvramPath } : {}),
    ...(owner && { owner }),
    ...(suspension && { suspension }),
  };
}

function ownerIn(root: Element): DomainXml["owner"] {
  const label = all(root, "seclabel").find(({ attributes }) => attributes.model === "dac");
  const found = /^\+?(\d+):\+?(\d+)$/.exec((label && child(label, "label")?.text.trim()) ?? "");
  return found?.[1] && found[2] ? { uid: found[1], gid: found[2] } : undefined;
}

function readDisk(element: Element): DiskXml {
  const target = child(element, "target")?.attributes.dev;
  if (target === undefined) throw new BugError("libvirt's XML of a disk names no target, which it demands of each (VIR_ERR_NO_TARGET).");
  const driver = child(element, "driver")?.attributes ?? {};
  const mirror = child(element, "mirror");
  const alias = child(element, "alias")?.attributes.name;
  const serial = child(element, "serial")?.text;
  return {
    target,
    ...(alias === undefined ? {} : { alias }),
    ...(serial === undefined ? {} : { serial }),
    source: sourceOf(element, driver.type ?? "raw"),
    below: chainBelow(element),
    readOnly: child(element, "readonly") !== undefined,
    shared: child(element, "shareable") !== undefined,
    transient: child(element, "transient") !== undefined,
    cache: cacheOf(driver.cache),
    detectZeroes: driver.detect_zeroes === "on" || driver.detect_zeroes === "unmap" ? driver.detect_zeroes : "off",
    ...(mirror && { mirror: mirrorOf(mirror) }),
    element,
  };
}

function sourceOf(element: Element, format: string): DiskXml["source"] {
  const source = child(element, "source");
  const type = element.attributes.type ?? "file";
  if (!source || (type === "file" && !source.attributes.file)) return { kind: "none" };
  const why = strangeness(type, element, source, format);
  return why === undefined ? { kind: "file", path: source.attributes.file ?? "", format } : { kind: "unsupported", why };
}

function strangeness(type: string, element: Element, source: Element, format: string): string | undefined {
  if (type !== "file") return `its source is of type ${type}, and only files can be moved`;
  if (child(source, "encryption") ?? child(element, "encryption")) return "it is encrypted";
  if (child(source, "slices")) return "it is a slice of a file";
  if (child(source, "dataStore")) return "its content lies in an external data file";
  return ["qcow2", "raw"].includes(format) ? undefined : `its format is ${format}; only qcow2 and raw can be moved`;
}

/** `<backingStore/>` without anything ends a chain; no such element at all leaves it open. */
function chainBelow(element: Element): FileXml[] | undefined {
  const backing = child(element, "backingStore");
  if (!backing) return undefined;
  if (backing.children.length === 0) return [];
  const rest = chainBelow(backing);
  const path = child(backing, "source")?.attributes.file;
  const format = child(backing, "format")?.attributes.type;
  if (rest === undefined || path === undefined || format === undefined) return undefined;
  return [{ path, format }, ...rest];
}

/** @see qemuDiskCacheModeToBlockdev… in libvirt: qemuDomainDiskCachemodeFlags(), 9.0 */
function cacheOf(mode: string | undefined): DiskXml["cache"] {
  return { direct: mode === "none" || mode === "directsync", noFlush: mode === "unsafe" };
}

function mirrorOf(mirror: Element): NonNullable<DiskXml["mirror"]> {
  const { job = "copy", ready = "no", file } = mirror.attributes;
  return { job, ready, path: child(mirror, "source")?.attributes.file ?? file ?? "" };
}
