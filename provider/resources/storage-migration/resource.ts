/** `StorageMigration`: one move of one or more disks of a running guest. This page is its reference. */

import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { absolutePath } from "../../core/disk/paths.js";
import { isSeveralPlaces } from "../../flows/move/look/declared.js";
import type { DiskReport } from "../../flows/move/report.js";
import { moveOptions } from "../../flows/shared/options.js";
import { hostArgs } from "../../host/target.js";
import { diskName, domainArgs } from "../../hypervisor/address.js";
import type { DeepInputs } from "../inputs.js";

/** A directory; or what `read` has shown of disks in several ones, where the engine hands that back (`ignoreChanges`). */
function directoryOrShown(argument: string) {
  const directory = absolutePath(argument);
  return z
    .custom<string>(() => true)
    .transform((value, context) => {
      if (isSeveralPlaces(value)) return value;
      const { data, error } = directory.safeParse(value);
      for (const { message } of error?.issues ?? []) context.addIssue(message);
      return data ?? z.NEVER;
    });
}

const keys = {
  /** How the host is reached. Where it is (`address`, `port`) is part of the resource's identity; the rest may change in place. */
  host: hostArgs,
  /** Which guest. Part of the resource's identity. */
  domain: domainArgs,
  /**
   * The disks that move, each by its device id, QOM path, drive id or serial. They switch all or none.
   * @default all images that the guest has when the resource is created; one that it gains later is not moved
   * @throws UserError if it is empty or names a disk twice; when moving, if the guest has no such disk
   */
  disks: z
    .array(diskName, { error: 'disks is a list of disk names, such as ["vda"]' })
    .min(1, "disks is empty: name a disk, or leave it out for all")
    .optional(),
  /**
   * The directory, on the host, in which the active images shall be. It must be there, and the guest's QEMU must be able to write to it.
   *
   * A refresh shows here where the disks are: the directory, or, if they are in several, a text that names each with its disks. Where the
   * engine hands that text back (`ignoreChanges`), nothing moves.
   * @throws UserError if it is not absolute; when moving, if it is missing, too small, not writable by QEMU, or holds files in the way
   */
  destination: directoryOrShown("destination"),
  ...moveOptions.shape,
  /**
   * What to do when somebody moved a disk by hand. `correct`: the preview shows it and `up` moves it back.
   * `report`: `drift` in the outputs and a warning, no diff.
   * @default "correct"
   * @throws UserError for any other word
   */
  onDrift: z.enum(["correct", "report"], { error: 'onDrift is "correct" or "report"' }).default("correct"),
};

/** What holds of a resource's state as well, whichever version wrote it. */
export const storageMigrationState = z
  .strictObject(keys)
  .refine(({ disks }) => disks === undefined || new Set(disks).size === disks.length, {
    path: ["disks"],
    error: "disks names a disk twice",
  })
  .refine(({ domain, link }) => link === undefined || "qmp" in domain, {
    path: ["link"],
    error: "link is for guests with a command line of yours (`domain.qmp`): libvirt's definition follows the disk by itself",
  })
  .refine(({ afterwards, link, domain }) => afterwards !== "keep" || link !== undefined || "libvirt" in domain, {
    path: ["afterwards"],
    error:
      'afterwards "keep" wants `link`: a boot by the old name would silently find the stale image; use "quarantine", or name the disks through a link',
  });

export const storageMigrationArgs = storageMigrationState
  .refine(({ collapse, link }) => collapse !== "none" || link === undefined, {
    path: ["collapse"],
    error:
      'collapse "none" goes without `link`: a boot by the old name would silently find the frozen image below the overlay that stays; ' +
      'use "commit" or "pull", or start the guest from `bootPath`',
  })
  .refine(({ strategy, collapse }) => collapse === undefined || strategy === "snapshot", {
    path: ["collapse"],
    error: 'collapse goes with strategy "snapshot" only: a mirror has no overlay to take away',
  })
  .refine(({ strategy, restartDuringMove }) => restartDuringMove === undefined || strategy === "snapshot", {
    path: ["restartDuringMove"],
    error: 'restartDuringMove goes with strategy "snapshot" only: with a mirror the old command line stays right until the switch',
  })
  .refine(({ strategy, restartDuringMove, domain }) => strategy === "mirror" || restartDuringMove !== undefined || "libvirt" in domain, {
    path: ["restartDuringMove"],
    error:
      'strategy "snapshot" wants `restartDuringMove: "from-manifest"`: from the freeze to the end of the move a guest that is started by its old command line ' +
      "silently boots an image that lacks what was written since; it must be started from `current` in the manifest beside it",
  });

export type StorageMigrationSettings = z.output<typeof storageMigrationArgs>;

type Written = z.input<typeof storageMigrationArgs>;
type OfSnapshot = "strategy" | "collapse" | "restartDuringMove";

/** The arguments as a program writes them: each, and each part of one, may be another resource's output. What strategies exclude does not compile. */
export type StorageMigrationArgs = DeepInputs<Omit<Written, OfSnapshot>> &
  (
    | {
        /** The layers below are copied, then the active image is mirrored and switched; `snapshot` freezes all of that first. */
        strategy?: pulumi.Input<"mirror">;
        collapse?: never;
        restartDuringMove?: never;
      }
    | ({
        /** An overlay takes the guest's writes, so that all below it holds still while it is copied; `mirror` does without. */
        strategy: pulumi.Input<"snapshot">;
      } & DeepInputs<Pick<Written, "collapse" | "restartDuringMove">>)
  );

// Stored in state for the life of the resource. Never change a byte; never move ./dynamic.
const __provider = 'exports.handler = () => require("pulumi-livedisk/dynamic").providerFor("StorageMigration")';
const type = "pulumi-nodejs:dynamic/livedisk:StorageMigration";

/**
 * Moves disks of a running guest to a directory, and keeps them there.
 *
 * ```ts
 * new StorageMigration("web", {
 *   host: { address: "db-3.example.org", user: "root" },
 *   domain: { qmp: "/run/vm/web.qmp" },
 *   disks: ["vda"],
 *   destination: "/srv/fast",
 * });
 * ```
 *
 * With `link`, the guest's command line finds the disk after the move too:
 *
 * ```ts
 * new StorageMigration("web", { host, domain, destination: "/srv/fast", link: "/vm/web" });
 * ```
 */
export class StorageMigration extends pulumi.CustomResource {
  static readonly __pulumiType = type;

  /** Per disk, by its name: where it stands, and what its last move did. */
  declare readonly moves: pulumi.Output<Record<string, DiskReport>>;
  /** The guest's UUID, or what stands for it. */
  declare readonly domainId: pulumi.Output<string>;
  /** Whether the guest was there at the last look. */
  declare readonly running: pulumi.Output<boolean>;
  /** Where disks were found that are not at the destination; absent when all are. */
  declare readonly drift: pulumi.Output<string | undefined>;
  declare readonly destination: pulumi.Output<string>;
  /** The `destination` that was declared at the last create or update, whatever a refresh has shown since. */
  declare readonly declared: pulumi.Output<{ destination: string }>;

  constructor(name: string, args: StorageMigrationArgs, opts?: pulumi.CustomResourceOptions) {
    const outputs = { moves: undefined, domainId: undefined, running: undefined, drift: undefined, declared: undefined };
    super(type, name, { __provider, __urn: pulumi.createUrn(name, type, opts?.parent), ...args, ...outputs }, opts);
  }

  /** A resource that another program manages: read, never changed. */
  static get(name: string, id: pulumi.Input<pulumi.ID>, args: StorageMigrationArgs, opts?: pulumi.CustomResourceOptions): StorageMigration {
    return new StorageMigration(name, args, { ...opts, id });
  }

  static override isInstance(candidate: unknown): candidate is StorageMigration {
    return pulumi.CustomResource.isInstance(candidate) && "__pulumiType" in candidate && candidate.__pulumiType === type;
  }
}
