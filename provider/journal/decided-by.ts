/**
 * `current` while a switch is under way: not a path, but what decides which of two paths it is. That is one rename, of the link or of the
 * switch record, so that all manifests of all disks say the same at every instant (decisions/0010).
 */

import { z } from "zod";
import { type FileIdentity, isFile, sameFile } from "../core/disk/chain.js";
import { isSwitchRecordName, nextOf } from "../core/disk/names.js";
import { baseName } from "../core/disk/paths.js";
import { UserError } from "../core/errors.js";
import { seeFiles } from "../host/file-seen.js";
import { readSmallFile } from "../host/files.js";
import type { Host } from "../host/host.js";
import { readLink } from "../host/links.js";
import { fileIdentity } from "./which-file.js";

const absolute = z.string().startsWith("/");

/** From right before a switch to its end. */
export const undecided = z.strictObject({
  /** `link`: the one through which the guest's command line names its disks. `switch-record`: one file for all disks of the switch. */
  decidedBy: z.enum(["link", "switch-record"]),
  /** The link's or the record's. */
  path: absolute,
  /** The image that is current as long as the rename is not done, and the one that is afterwards. */
  before: absolute,
  after: absolute,
});

/** What both images were while all jobs were `pending`: whoever was let go on one of them has changed that one since. */
export const inPending = z.strictObject({ before: fileIdentity, after: fileIdentity });

export type Undecided = z.output<typeof undecided>;
export type InPending = z.output<typeof inPending>;
export type SwitchSide = "before" | "after";

/** For schemas: the sizes are there as long as the switch is. */
export function fitTogether(current: string | Undecided, pending: InPending | undefined, links: readonly (string | undefined)[]): boolean {
  if (typeof current === "string") return pending === undefined;
  const isOurs = current.decidedBy === "link" ? links.includes(current.path) : isSwitchRecordName(baseName(current.path));
  return isOurs && pending !== undefined && current.before !== current.after;
}

/** A disk whose switch has not ended. */
export interface DecidedDisk {
  disk: string;
  current: Undecided;
  link?: DecidingLink | undefined;
}

/** The link of a move: what it says before a switch and after it. */
export interface DecidingLink {
  before: string;
  after: string;
  /** The directory to which it leads before. */
  home: string;
}

/** @throws UserError where what decides is not there, or says neither: nothing is concluded from its absence */
export async function sideOf(host: Host, { disk, current, link }: DecidedDisk): Promise<SwitchSide> {
  const { decidedBy, path, before, after } = current;
  const found = decidedBy === "link" ? await sideByLink(host, path, link) : await sideByRecord(host, path);
  if (found) return found;
  const [wrong, advice] =
    decidedBy === "link"
      ? [`the link ${path} leads to neither`, "Point the link to the directory of the image that the guest runs on"]
      : [
          `neither ${path} nor ${nextOf(path)} is there`,
          `Create ${path} if the guest runs on ${after}, or ${nextOf(path)} if it runs on ${before}`,
        ];
  throw new UserError(
    `Unable to tell where a boot of ${host.name} must find ${disk}: its switch from ${before} to ${after} was cut, and ${wrong}, which decides. ` +
      `Nothing was touched. ${advice}, then run again.`,
  );
}

async function sideByLink(host: Host, path: string, link: DecidingLink | undefined): Promise<SwitchSide | undefined> {
  const leadsTo = await readLink(host, path);
  if (!link || leadsTo === undefined) return undefined;
  if (leadsTo === link.after) return "after";
  if (leadsTo === link.before) return "before";
  const [there, after, home] = await seeFiles(host, [path, link.after, link.home], "follow");
  if (there && after && sameFile(there, after)) return "after";
  return there && home && sameFile(there, home) ? "before" : undefined;
}

async function sideByRecord(host: Host, path: string): Promise<SwitchSide | undefined> {
  // read, since only one that nobody else has put there decides
  const [record, next] = await Promise.all([readSmallFile(host, path), readSmallFile(host, nextOf(path))]);
  if (record !== undefined) return "after";
  return next === undefined ? undefined : "before";
}

/**
 * Whether an image was written to since all jobs were `pending`, or is another file. An older time is no write: a power cut takes back
 * what was not synced.
 */
export function isWrittenSince(found: FileIdentity, recorded: FileIdentity): boolean {
  if (!isFile(found, recorded)) return true;
  return found.modified === recorded.modified ? found.sizeBytes !== recorded.sizeBytes : isLater(found.modified, recorded.modified);
}

function isLater(one: string, other: string): boolean {
  const nanoseconds = (time: string) => {
    const [seconds = "0", fraction = ""] = time.split(".");
    return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
  };
  return nanoseconds(one) > nanoseconds(other);
}
