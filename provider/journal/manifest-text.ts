/** The texts of manifests on the host, of moves and of mirrored snapshots: where there are none, one listing says so for all disks of a directory. */

import { z } from "zod";
import { type DiskKey, fileNames } from "../core/disk/names.js";
import { within } from "../core/disk/paths.js";
import { UserError } from "../core/errors.js";
import { parseJson } from "../core/json.js";
import { refusal } from "../host/complaints.js";
import { readSmallFile } from "../host/files.js";
import type { Host } from "../host/host.js";
import { askedOnce } from "../host/remembering.js";
import { type FoundFile, findFiles } from "../host/worker/finding.js";
import { isFailure, isMissing, isWorkerError } from "../host/worker/worker-error.js";
import { stateDirectoriesOf } from "./state-directory.js";

/** With more manifests in a directory than this, only those that are wanted are read. */
const fewManifests = 4;

/** One of a thousand layers has more. */
const bytesAtMost = 1024 * 1024;

/** A directory with more of them than a host has disks was filled by somebody else. */
const manifestsAtMost = 10_000;

const finding = { pattern: "lm-[0-9a-f]{8}\\.manifest\\.json", bytesAtMost: 32 * 1024, filesAtMost: manifestsAtMost };

/**
 * The text of a disk's manifest in a directory, undefined where there is none.
 * @param together disks whose manifests are wanted in the same look, from a host that remembers its answers: they are read at once
 * @throws UserError if it is there and cannot be read or trusted
 */
export async function readManifestText(
  host: Host,
  key: DiskKey,
  directory: string,
  together: readonly DiskKey[] = [],
): Promise<string | undefined> {
  const listed = await askedOnce(host, `manifests in ${directory}`, () => list(host, directory));
  const name = fileNames.manifest(key);
  const found = listed?.get(name);
  if (listed && !found) return undefined;
  if (found?.read instanceof Buffer && found.read.length > 0) return found.read.toString();
  const read = (other: string) => {
    const path = within(directory, other);
    return askedOnce(host, `manifest ${path}`, () => readSmallFile(host, path, bytesAtMost));
  };
  // all are asked for before the first has answered; who wants one of the others hears of its failure
  for (const other of together.map(fileNames.manifest)) if (listed?.has(other) && other !== name) read(other).catch(() => {});
  return read(name);
}

/** By their names; undefined where they cannot be listed, so that only reading tells. */
async function list(host: Host, directory: string): Promise<Map<string, FoundFile> | undefined> {
  const worker = await host.worker();
  try {
    const found = await findFiles(worker, directory, { ...finding, few: fewManifests });
    return new Map(found.map((file) => [file.name, file]));
  } catch (thrown) {
    if (isMissing(thrown)) return new Map();
    if (isWorkerError(thrown) && !isFailure(thrown, "foreign-link")) return undefined;
    throw refusal(host, `list ${directory}`, thrown);
  }
}

/**
 * All manifests that lie in the directories, or in the host's state directory, of whatever guest. A directory that is not there holds none.
 * @throws UserError if one is there and cannot be listed: that is not "none"
 */
export async function manifestsIn(host: Host, directories: readonly string[]): Promise<string[]> {
  const worker = await host.worker();
  const inOne = async (directory: string) => {
    try {
      const found = await findFiles(worker, directory, { ...finding, few: 0 });
      return found.map(({ name }) => within(directory, name));
    } catch (thrown) {
      if (isMissing(thrown)) return [];
      if (!isWorkerError(thrown)) throw refusal(host, `list ${directory}`, thrown);
      throw new UserError(
        `Unable to list the manifests in ${directory} on ${host.name}: ${thrown.words}. So a move may have been left there. Nothing was touched. ` +
          "Let the account read it, or repair its storage, then run again.",
        { cause: thrown },
      );
    }
  };
  const all = new Set([...directories, ...(await stateDirectoriesOf(host))]);
  return (await Promise.all([...all].map(inOne))).flat();
}

/** A manifest that lies somewhere, not yet parsed. */
export interface FoundText {
  path: string;
  text: string;
}

/**
 * The texts of {@link manifestsIn} that are, or may be, of this guest: what another guest's says, and in which version, is none of its business.
 * One that can be parsed is this guest's.
 * @throws UserError as {@link manifestsIn}, or if one cannot be read or trusted
 */
export async function manifestTextsOf(host: Host, domainId: string, directories: readonly string[]): Promise<FoundText[]> {
  const found: FoundText[] = [];
  for (const path of await manifestsIn(host, directories)) {
    const text = await readSmallFile(host, path);
    if (text !== undefined && [undefined, domainId].includes(domainIn(text))) found.push({ path, text });
  }
  return found;
}

const ofDomain = z.object({ domainId: z.string() });

/** Undefined where the text does not say so in a way that this version knows. */
function domainIn(text: string): string | undefined {
  return ofDomain.safeParse(parseJson(text)).data?.domainId;
}
