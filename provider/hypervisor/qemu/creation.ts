/** What an image's header says about how it was made. */

import type { ImageView } from "../hypervisor.js";
import type { ImageReply } from "./replies.js";

/** A device right on a protocol node, without a format node between, sees a raw image. */
export function formatOf(image: ImageReply): string {
  return image.format === "file" ? "raw" : image.format;
}

/** Options of `qemu-img create -o` that make an image like this one; size and backing name are not among them. */
export function creationOf(image: ImageReply): ImageView["creation"] {
  const header = image["format-specific"]?.data;
  if (image.format !== "qcow2" || !header) return { format: formatOf(image), options: {} };
  const compat = header.compat ?? "1.1";
  const options: Record<string, string | undefined> = {
    compat,
    cluster_size: image["cluster-size"]?.toString(),
    // "compression_type" and the rest need version 3 (qcow2_co_create() in block/qcow2.c, QEMU 7.2).
    ...(compat === "0.10" ? {} : sinceVersion3(header)),
  };
  return {
    format: image.format,
    options: Object.fromEntries(Object.entries(options).flatMap(([key, value]) => (value ? [[key, value]] : []))),
  };
}

type Header = NonNullable<NonNullable<ImageReply["format-specific"]>["data"]>;

function sinceVersion3(header: Header): Record<string, string | undefined> {
  return {
    lazy_refcounts: onOff(header["lazy-refcounts"]),
    refcount_bits: header["refcount-bits"]?.toString(),
    extended_l2: onOff(header["extended-l2"]),
    compression_type: header["compression-type"],
  };
}

function onOff(value: boolean | undefined): string | undefined {
  if (value === undefined) return undefined;
  return value ? "on" : "off";
}
