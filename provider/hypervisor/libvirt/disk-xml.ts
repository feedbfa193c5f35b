/** XML that we give to libvirt. Pure. */

import type { LayerFile } from "../../core/disk/chain-options.js";
import { escaped } from "../../core/xml-text.js";
import type { DomainXml } from "./domain-xml.js";
import { type Element, parseXml, xmlText } from "./xml.js";

/**
 * The target of `blockcopy --xml`. The chain is given whole, down to the `<backingStore/>` that ends it: so libvirt opens it before the
 * copy begins, and asks no header (decisions/0002).
 */
export function copyTargetXml({ path, format }: LayerFile, below: readonly LayerFile[]): string {
  const source = `<source file='${escaped(path)}'/>`;
  return `<disk type='file' device='disk'><driver name='qemu' type='${escaped(format)}'/>${source}${chainXml(below)}</disk>\n`;
}

function chainXml([layer, ...rest]: readonly LayerFile[]): string {
  if (!layer) return "<backingStore/>";
  const format = `<format type='${escaped(layer.format)}'/>`;
  return `<backingStore type='file'>${format}<source file='${escaped(layer.path)}'/>${chainXml(rest)}</backingStore>`;
}

/**
 * The definition of one disk with another source, and all else as it stands. What the definition says of the layers below goes with
 * the old source: the new one's headers, or libvirt itself, say it, unless `below` is given.
 */
export function diskXmlAt(
  domain: DomainXml,
  target: string,
  { path, format, below }: LayerFile & { below?: readonly LayerFile[] },
): string | undefined {
  const disk = domain.disks.find((each) => each.target === target);
  if (disk?.source.kind !== "file") return undefined;
  const children = disk.element.children.filter(({ name }) => name !== "backingStore" && name !== "mirror");
  const changed: Readonly<Record<string, Readonly<Record<string, string>>>> = { source: { file: path }, driver: { type: format } };
  const moved = (element: Element): Element => ({ ...element, attributes: { ...element.attributes, ...changed[element.name] } });
  const chain = below ? [parseXml(chainXml(below), "a chain's XML")] : [];
  return `${xmlText({ ...disk.element, children: [...children.map(moved), ...chain] })}\n`;
}
