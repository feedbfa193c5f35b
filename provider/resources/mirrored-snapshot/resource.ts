/** `MirroredSnapshot`: the proposal's primitive, a snapshot whose writes go to two files. This page is its reference. */

import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { absolutePath } from "../../core/disk/paths.js";
import { messageOf } from "../../core/errors.js";
import { parseDiskspec } from "../../flows/mirrored-snapshot/diskspec.js";
import type { SnapshotReport } from "../../flows/mirrored-snapshot/report.js";
import type { SnapshotDisk } from "../../flows/mirrored-snapshot/snapshot-xml.js";
import { moveOptions } from "../../flows/shared/options.js";
import { hostArgs } from "../../host/target.js";
import { diskName, domainArgs } from "../../hypervisor/address.js";
import type { DeepInputs } from "../inputs.js";

/** One disk of the snapshot, in the words of `disks`. */
const snapshotDisk = z.strictObject({
  /** The disk: its device id, QOM path, drive id or serial. */
  disk: diskName,
  /**
   * Path of the overlay that takes the guest's writes from now on. From then on a boot must use it.
   * @throws UserError if it is not absolute; when taking the snapshot, if its directory is not there
   */
  file: absolutePath("file"),
  /**
   * Path of the image to which every one of these writes goes too. Its directory is another one than `file`'s.
   * @throws UserError if it is not absolute; when taking the snapshot, if its directory is not there, or is `file`'s
   */
  mirror: absolutePath("mirror"),
  /**
   * The format of both files: only `qcow2`.
   * @default "qcow2"
   * @throws UserError for any other: only qcow2 files stand on a backing file and can be copied while a guest runs
   */
  driver: z.literal("qcow2", { error: 'driver is "qcow2": only such files stand on a backing file' }).default("qcow2"),
});

/** What a diskspec says, as one of `disks`; nothing for `snapshot=no`. */
function diskOfSpec(text: string): z.output<typeof snapshotDisk> | undefined {
  const { snapshot = "external", ...rest } = parseDiskspec(text);
  if (snapshot === "internal") throw new Error(`diskspec "${text}": a mirrored snapshot is external, so snapshot=internal is refused`);
  if (snapshot === "external") return snapshotDisk.parse(rest);
  if (Object.keys(rest).length > 1)
    throw new Error(`diskspec "${text}": with snapshot=no the disk is left out, so it has no file and no mirror`);
  return undefined;
}

const diskspec = z
  .string({ error: 'a diskspec is a text, such as "vda,file=/path1/old.migrate,mirror=/path2/new.qcow2"' })
  .superRefine((text, context) => {
    try {
      diskOfSpec(text);
    } catch (thrown) {
      const why =
        thrown instanceof z.ZodError ? `diskspec "${text}": ${thrown.issues.map(({ message }) => message).join("; ")}` : messageOf(thrown);
      context.addIssue({ code: "custom", message: why, continue: false }); // what it names is not asked for then
    }
  });

/** The proposal's words for a pair of flags that exclude each other. */
const bothEndings = "delete mirror flags are mutually exclusive (invalid argument): onDelete is either pivot or abort";

const keys = {
  /** How the host is reached. Everything but how one signs in is fixed for the life of the snapshot. */
  host: hostArgs,
  /** Which guest. Fixed for the life of the snapshot. */
  domain: domainArgs,
  /**
   * The disks of the snapshot, taken all at one point in time, or none. Fixed for the life of the snapshot.
   * @default none: `diskspecs` names them
   * @throws UserError if `diskspecs` is given too, or neither is
   */
  disks: z
    .array(snapshotDisk, { error: 'disks is a list such as [{ disk: "vda", file: "/path1/old.migrate", mirror: "/path2/new.qcow2" }]' })
    .min(1, "disks is empty: name a disk")
    .optional(),
  /**
   * The same as texts: `disk[,snapshot=type][,driver=type][,file=name][,mirror=name]`, where `,,` is a literal comma; a disk with
   * `snapshot=no` is left out.
   * @default none: `disks` names them
   * @throws UserError if `disks` is given too, or neither is
   */
  diskspecs: z.array(diskspec, { error: "diskspecs is a list of texts" }).min(1, "diskspecs is empty: name a disk").optional(),
  /**
   * `true`: `file` and `mirror` are there already, and their headers stay as they are. Both must be empty overlays of the disk's size;
   * `file`'s backing name leads to the active image, `mirror`'s to the copy that you will make of it.
   * `false`: both are made, with a relative backing name.
   * @default false
   * @throws UserError if a file is not as it must be, or, with `false`, is there
   */
  reuseExternal: z.boolean({ error: "reuseExternal is true or false" }).default(false),
  /**
   * `background`: guest writes go to `file` and are mirrored after. `write-blocking`: each waits for the mirror too.
   * @default "background"
   * @throws UserError for any other word
   * @see QEMU QMP reference, MirrorCopyMode
   */
  copyMode: moveOptions.shape.copyMode,
  /**
   * Path of a layer that both chains may share: the copied chain may lead back to it, and is not compared from there on.
   * @default none: a chain that leads back into the source's directory is refused before the pivot
   * @throws UserError if it is not absolute
   */
  keepBase: absolutePath("keepBase").optional(),
  /**
   * How deleting the resource ends the snapshot. `pivot`: the guest runs on `mirror`, with what its backing name leads to. `abort`: the
   * mirror is dropped, and the guest stays on `file`. The only argument that changes while the snapshot lasts.
   * @default none: deleting it is refused
   * @throws UserError if both are given: "delete mirror flags are mutually exclusive"
   */
  onDelete: z
    .enum(["pivot", "abort"], { error: ({ input }) => (namesBoth(input) ? bothEndings : 'onDelete is "pivot" or "abort"') })
    .optional(),
  /**
   * Seconds without any progress after which a wait is given up. Nothing is lost: the next `up` goes on.
   * @default 600
   * @throws UserError if it is less than 10, or not whole
   */
  stallSeconds: moveOptions.shape.stallSeconds,
  /**
   * Refused. The guest's memory is saved with a snapshot of another kind.
   * @throws UserError always
   */
  memory: z
    .undefined({ error: "save is refused while a mirrored snapshot is current: it holds disks only, so leave `memory` out" })
    .optional(),
  /**
   * Refused. Without what is written down, a mirrored snapshot could not be ended.
   * @throws UserError always
   */
  noMetadata: z
    .undefined({
      error:
        "no-metadata is refused while a mirrored snapshot is current: without its manifest it could not be ended, so leave `noMetadata` out",
    })
    .optional(),
};

function namesBoth(input: unknown): boolean {
  const words: unknown = typeof input === "string" ? input.split(/[\s,|+]+/) : input;
  return Array.isArray(words) && words.includes("pivot") && words.includes("abort");
}

export const mirroredSnapshotArgs = z
  .strictObject(keys)
  .refine(({ disks, diskspecs }) => (disks === undefined) !== (diskspecs === undefined), {
    path: ["disks"],
    error: "give exactly one of disks and diskspecs",
  })
  .superRefine((settings, context) => {
    const given = settings.disks === undefined ? settings.diskspecs : settings.disks;
    const twice = given?.length ? twiceNamed(disksOf(settings)) : undefined;
    if (twice !== undefined) context.addIssue({ code: "custom", path: [settings.disks ? "disks" : "diskspecs"], message: twice });
  });

export type MirroredSnapshotSettings = z.output<typeof mirroredSnapshotArgs>;

/** The disks of the snapshot, whichever of the two arguments names them. */
export function disksOf({ disks, diskspecs }: Pick<MirroredSnapshotSettings, "disks" | "diskspecs">): SnapshotDisk[] {
  return disks ?? (diskspecs ?? []).flatMap((text) => diskOfSpec(text) ?? []);
}

function twiceNamed(disks: readonly SnapshotDisk[]): string | undefined {
  if (disks.length === 0) return "no disk is in the snapshot: at least one must not say snapshot=no";
  const names = disks.map(({ disk }) => disk);
  const files = disks.flatMap(({ file, mirror }) => [file, mirror]);
  const again = (all: readonly string[]) => all.find((one, index) => all.indexOf(one) !== index);
  if (again(names) !== undefined) return `the disk ${again(names)} is named twice`;
  return again(files) === undefined ? undefined : `the file ${again(files)} is named twice`;
}

export type { SnapshotReport };

/** The arguments as a program writes them: each, and each part of one, may be another resource's output. */
export type MirroredSnapshotArgs = DeepInputs<z.input<typeof mirroredSnapshotArgs>>;

// Stored in state for the life of the resource. Never change a byte; never move ./dynamic.
const __provider = 'exports.handler = () => require("pulumi-livedisk/dynamic").providerFor("MirroredSnapshot")';
const type = "pulumi-nodejs:dynamic/livedisk:MirroredSnapshot";

/**
 * A mirrored snapshot of one or more disks of a running guest: from its creation on the guest writes to `file`, every write goes to
 * `mirror` too, and what lies below is frozen, so that it can be copied. Deleting it ends it: on the mirror, or on `file`.
 *
 * From then on a boot must use `file`, and after a pivot `mirror`: a command line that names the old image would find a stale disk.
 *
 * ```ts
 * new MirroredSnapshot("web", {
 *   host: { address: "db-3.example.org", user: "root" },
 *   domain: { qmp: "/run/vm/web.qmp" },
 *   disks: [{ disk: "vda", file: "/path1/old.migrate", mirror: "/path2/new.qcow2" }],
 *   onDelete: "pivot",
 * });
 * ```
 *
 * Files that were made before, by their own headers, and the proposal's texts:
 *
 * ```ts
 * new MirroredSnapshot("web", {
 *   host, domain, reuseExternal: true,
 *   diskspecs: ["vda,file=/path1/old.migrate,mirror=/path2/new.qcow2"],
 * });
 * ```
 *
 * Between its creation and a pivot, copy what `file` stands on to where `mirror`'s backing name leads. Each copied layer is compared
 * with its source before the pivot.
 *
 * Not of this resource: reverting to a snapshot. That is libvirt's, and refused there while a mirrored snapshot is current.
 */
export class MirroredSnapshot extends pulumi.CustomResource {
  static readonly __pulumiType = type;

  /** The snapshot as libvirt's XML would say it: `<domainsnapshot>` with a `<mirror>` in each `<disk>`. */
  declare readonly xml: pulumi.Output<string>;
  /** Per disk, by its name in the arguments: where it stands, the path that a boot must use, and its chain. */
  declare readonly states: pulumi.Output<Record<string, SnapshotReport>>;
  /** Whether the guest was there at the last look. */
  declare readonly running: pulumi.Output<boolean>;
  /** The guest's UUID, or what stands for it. */
  declare readonly domainId: pulumi.Output<string>;

  constructor(name: string, args: MirroredSnapshotArgs, opts?: pulumi.CustomResourceOptions) {
    const outputs = { xml: undefined, states: undefined, running: undefined, domainId: undefined };
    super(type, name, { __provider, __urn: pulumi.createUrn(name, type, opts?.parent), ...args, ...outputs }, opts);
  }

  /** A resource that another program manages: read, never changed. */
  static get(name: string, id: pulumi.Input<pulumi.ID>, args: MirroredSnapshotArgs, opts?: pulumi.CustomResourceOptions): MirroredSnapshot {
    return new MirroredSnapshot(name, args, { ...opts, id });
  }

  static override isInstance(candidate: unknown): candidate is MirroredSnapshot {
    return pulumi.CustomResource.isInstance(candidate) && "__pulumiType" in candidate && candidate.__pulumiType === type;
  }
}
