/** The switch record: the file whose one rename decides a switch without a link, for all of its disks (decisions/0010). */

import { z } from "zod";
import { nextOf } from "../core/disk/names.js";
import { parseJson } from "../core/json.js";
import { seeFiles } from "../host/file-seen.js";
import { readSmallFile, removeFiles, renameWithoutReplacing, writeFileAtomically } from "../host/files.js";
import type { Host } from "../host/host.js";
import type { SwitchSide } from "./decided-by.js";

const recordSchema = z.object({ manifests: z.array(z.string()) });
const referring = z.object({ current: z.object({ path: z.string() }) });

/**
 * Before a switch: the record under the name that it has until the switch is decided. One that an earlier switch has left is removed
 * first, since it would decide this one.
 * @param manifests those that refer to it
 */
export async function prepareSwitchRecord(host: Host, path: string, manifests: readonly string[]): Promise<void> {
  await removeFiles(host, [path]);
  await writeFileAtomically(host, nextOf(path), `${JSON.stringify({ kind: "switch-record", version: 1, manifests }, null, 2)}\n`);
}

/** The record says this side from then on, of all disks that refer to it. */
export async function decideByRecord(host: Host, path: string, side: SwitchSide): Promise<void> {
  const [from, to] = side === "after" ? [nextOf(path), path] : [path, nextOf(path)];
  const [there, taken] = await seeFiles(host, [from, to], "keep-links");
  if (there && !taken) await renameWithoutReplacing(host, { from, to, known: there });
}

/** Removes the record of a switch that has ended, unless the manifest of another disk still refers to it. */
export async function dropSwitchRecord(host: Host, path: string): Promise<void> {
  const text = (await readSmallFile(host, path)) ?? (await readSmallFile(host, nextOf(path)));
  const manifests = recordSchema.safeParse(parseJson(text ?? "")).data?.manifests ?? [];
  for (const manifest of manifests) {
    const said = referring.safeParse(parseJson((await readSmallFile(host, manifest)) ?? "")).data;
    if (said?.current.path === path) return;
  }
  await removeFiles(host, [path, nextOf(path)]);
}
