/** `DomainDisk`: one disk of one running guest. This page is its reference. */

import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { absolutePath } from "../../core/disk/paths.js";
import type { LayerReport } from "../../flows/shared/chain-report.js";
import type { PhaseName } from "../../flows/shared/phase.js";
import type { DiskStatus } from "../../flows/shared/status.js";
import { hostArgs } from "../../host/target.js";
import { diskName, domainArgs } from "../../hypervisor/address.js";
import type { DeepInputs } from "../inputs.js";

export const domainDiskArgs = z.strictObject({
  /** How the host is reached. Where it is (`address`, `port`) is part of the resource's identity; the rest may change in place. */
  host: hostArgs,
  /** Which guest. Part of the resource's identity. */
  domain: domainArgs,
  /** The disk: its device id, QOM path, drive id or serial. Part of the resource's identity. */
  disk: diskName,
  /**
   * The directory, on the host, in which the disk lives. Where reality differs, `up` moves the disk there while the guest runs,
   * with StorageMigration's defaults.
   * @default none: the disk is adopted and reported where it is
   * @throws UserError if it is not absolute; when moving, if it is missing, too small, not writable by QEMU, or holds files in the way
   */
  storage: absolutePath("storage").optional(),
  /**
   * Path of the layer right below the active image. Where it lies deeper, `up` pulls what lies between up into the active image, while
   * the guest runs; the files of the layers between stay, unused. With `storage`, a path as it is after the move.
   * @default none: the chain is left as it is
   * @throws UserError if it is no layer of the chain, or the active image itself; if the active image's storage is too small
   * @see QEMU QMP reference, block-stream; virsh(1), blockpull --base
   */
  base: absolutePath("base").optional(),
});

export type DomainDiskSettings = z.output<typeof domainDiskArgs>;

/** The arguments as a program writes them: each, and each part of one, may be another resource's output. */
export type DomainDiskArgs = DeepInputs<z.input<typeof domainDiskArgs>>;

// Stored in state for the life of the resource. Never change a byte; never move ./dynamic.
const __provider = 'exports.handler = () => require("pulumi-livedisk/dynamic").providerFor("DomainDisk")';
const type = "pulumi-nodejs:dynamic/livedisk:DomainDisk";

/**
 * One disk of one running guest: what its chain is, and, if declared, where it lives. Creating it adopts what is there;
 * deleting it leaves the disk where it is.
 *
 * ```ts
 * const root = new DomainDisk("web-root", {
 *   host: { address: "db-3.example.org", user: "root" },
 *   domain: { qmp: "/run/vm/web.qmp" },
 *   disk: "vda",
 * });
 * export const chain = root.chain;
 * ```
 *
 * With `storage` the disk is moved there, live, whenever it is elsewhere:
 *
 * ```ts
 * new DomainDisk("web-root", { host, domain, disk: "vda", storage: "/srv/fast" });
 * ```
 *
 * With `base` its chain is shortened:
 *
 * ```ts
 * new DomainDisk("web-root", { host, domain, disk: "vda", base: "/srv/fast/common.qcow2" });
 * ```
 */
export class DomainDisk extends pulumi.CustomResource {
  static readonly __pulumiType = type;

  /** The live backing chain, the active image first: path, format, virtual and allocated bytes (rounded to MiB) of each layer. */
  declare readonly chain: pulumi.Output<LayerReport[]>;
  /** Where a boot must find the disk. */
  declare readonly bootPath: pulumi.Output<string>;
  /** Whether the guest was there at the last look. */
  declare readonly running: pulumi.Output<boolean>;
  /** The guest's UUID, or what stands for it. */
  declare readonly domainId: pulumi.Output<string>;
  /** Where the disk was found, when it is not in `storage`. */
  declare readonly drift: pulumi.Output<string | undefined>;
  /**
   * Where the disk stands, with its move and its pull.
   *
   * A state of 0.1.0 has it from the first refresh or update on.
   */
  declare readonly status: pulumi.Output<DiskStatus>;
  /** @deprecated since 0.2.0: use `status`. It is an internal word, and the next version does not show it. */
  declare readonly phase: pulumi.Output<PhaseName>;
  declare readonly storage: pulumi.Output<string | undefined>;
  /** `storage` and `base` as they were declared at the last create or update, whatever a refresh has shown since. */
  declare readonly declared: pulumi.Output<{ storage?: string; base?: string }>;

  constructor(name: string, args: DomainDiskArgs, opts?: pulumi.CustomResourceOptions) {
    const shown = { chain: undefined, bootPath: undefined, running: undefined, domainId: undefined, drift: undefined };
    const outputs = { ...shown, status: undefined, phase: undefined, declared: undefined };
    super(type, name, { __provider, __urn: pulumi.createUrn(name, type, opts?.parent), storage: undefined, ...args, ...outputs }, opts);
  }

  /** A resource that another program manages: read, never changed. */
  static get(name: string, id: pulumi.Input<pulumi.ID>, args: DomainDiskArgs, opts?: pulumi.CustomResourceOptions): DomainDisk {
    return new DomainDisk(name, args, { ...opts, id });
  }

  static override isInstance(candidate: unknown): candidate is DomainDisk {
    return pulumi.CustomResource.isInstance(candidate) && "__pulumiType" in candidate && candidate.__pulumiType === type;
  }
}
