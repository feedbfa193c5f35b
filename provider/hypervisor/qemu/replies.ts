/** What QEMU answers: only the fields that we read. Lenient, since every release adds some. @see QEMU QMP reference, block-core */

import { z } from "zod";
import { jobStatus } from "../../core/disk/job.js";

/** Of a command whose answer says only that it is done. */
export const done = z.object({});

export const status = z.object({ status: z.string() });

export const uuid = z.object({ UUID: z.string() });

const named = z.object({ name: z.string() });

/** ImageInfoSpecific: `data` of a qcow2; other formats have none of these fields. */
const formatSpecific = z.object({
  type: z.string(),
  data: z
    .object({
      compat: z.string().optional(),
      "lazy-refcounts": z.boolean().optional(),
      "refcount-bits": z.number().optional(),
      "extended-l2": z.boolean().optional(),
      "compression-type": z.string().optional(),
      "data-file": z.string().optional(),
      bitmaps: z.array(named).optional(),
    })
    .optional(),
});

/** ImageInfo; of a chain, with what lies below. */
const image = z.object({
  filename: z.string(),
  format: z.string(),
  "virtual-size": z.number(),
  "actual-size": z.number().optional(),
  "cluster-size": z.number().optional(),
  encrypted: z.boolean().optional(),
  "backing-filename": z.string().optional(),
  "backing-filename-format": z.string().optional(),
  snapshots: z.array(named).optional(),
  "format-specific": formatSpecific.optional(),
  get "backing-image"() {
    return image.optional();
  },
});
export type ImageReply = z.output<typeof image>;

/** BlockDeviceInfo: one node as it is open. */
const node = z.object({
  file: z.string(),
  "node-name": z.string(),
  drv: z.string(),
  ro: z.boolean(),
  encrypted: z.boolean(),
  detect_zeroes: z.enum(["off", "on", "unmap"]),
  cache: z.object({ direct: z.boolean(), "no-flush": z.boolean() }),
  image,
  /** A bitmap without a name is a job's own. */
  "dirty-bitmaps": z.array(z.object({ name: z.string().optional(), persistent: z.boolean().optional() })).optional(),
});
export type NodeReply = z.output<typeof node>;

export const nodes = z.array(node);

/** BlockInfo: one device, or one drive that has none. */
const drive = z.object({ device: z.string(), qdev: z.string().optional(), inserted: node.optional() });
export type DriveReply = z.output<typeof drive>;

export const drives = z.array(drive);

/** BlockJobInfo: holds all that `query-jobs` says of a block job, and its io-status. */
export const blockJobs = z.array(
  z.object({
    device: z.string(),
    type: z.string(),
    status: jobStatus,
    offset: z.number(),
    len: z.number(),
    "io-status": z.enum(["ok", "failed", "nospace"]),
    error: z.string().optional(),
  }),
);

/** XDbgBlockGraph: who is whose child. */
export const graph = z.object({
  nodes: z.array(z.object({ id: z.number(), type: z.string(), name: z.string() })),
  edges: z.array(z.object({ parent: z.number(), child: z.number(), name: z.string() })),
});
export type GraphReply = z.output<typeof graph>;

/** MigrationInfo; without a status where none was ever begun. */
export const migration = z.object({ status: z.string().optional() });

export const text = z.string();

export const flag = z.boolean();

/** SchemaInfo: one entity of the introspection; which fields it has depends on its meta-type. */
export const schema = z.array(
  z.object({
    name: z.string(),
    "meta-type": z.string(),
    "arg-type": z.string().optional(),
    members: z.array(z.object({ name: z.string().optional(), persistent: z.boolean().optional() })).optional(),
  }),
);
export type SchemaReply = z.output<typeof schema>;
