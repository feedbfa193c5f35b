/** A switch that was cut while its jobs were `pending`, and whose QEMU lives: finished or reverted by the host's worker, by what decides it. */

import { sameFile } from "../../core/disk/chain.js";
import { nextOf, standInNames } from "../../core/disk/names.js";
import { seeFiles } from "../../host/file-seen.js";
import { makeSymlink } from "../../host/links.js";
import { fileStatus } from "../../host/worker/files.js";
import type { Identity } from "../../host/worker/identity.js";
import type { SwitchSide } from "../../journal/decided-by.js";
import type { Identities } from "./planned-move.js";
import type { Site } from "./site.js";
import { makeStandIn, notSwitched } from "./switch.js";
import { planWords, recoveryPlan, type Switched } from "./switch-plan.js";
import type { Stale } from "./turn.js";

/**
 * Guest I/O goes on afterwards. The manifests stay as they are; the next look tells on which side each disk is.
 * @throws UserError if QEMU has ended meanwhile, or not all names could be given
 */
export async function recoverDisks(site: Site, switched: Switched, decided: SwitchSide): Promise<void> {
  const plan = recoveryPlan(switched, await identitiesOf(site, switched, decided));
  site.run.say(
    "debug",
    `${site.guest.name} on ${site.host.name}: a switch was cut, and is ${decided === "after" ? "finished" : "reverted"}: ${planWords(plan)}.`,
  );
  const result = await site.guest.recover(plan);
  if (result.end === "switched" || result.end === "cancelled" || result.end === "astray") return;
  throw notSwitched(site, switched.turns, result);
}

/** By the names of the plan, although some of the files have their other name already. */
async function identitiesOf(site: Site, { turns, deciding }: Switched, decided: SwitchSide): Promise<Identities> {
  const known = new Map<string, Identity>();
  const at = async (name: string, path: string) => known.set(name, await identityAt(site, path));
  if (deciding.decidedBy === "link") {
    const { path, next, back } = deciding;
    if (decided === "before") await makeSymlink(site.host, next.leadsTo, next.path);
    await makeSymlink(site.host, back.leadsTo, back.path);
    await at(next.path, decided === "after" ? path : next.path);
    await at(back.path, back.path);
  } else await at(nextOf(deciding.path), decided === "after" ? deciding.path : nextOf(deciding.path));
  for (const { source, stale } of turns) {
    if (source !== stale?.active) await at(source, source);
    if (stale) for (const [name, path] of await staleNames(site, stale)) await at(name, path);
  }
  return known;
}

/** The names of the plan, and where their files are now. */
async function staleNames(site: Site, stale: Stale): Promise<(readonly [name: string, path: string])[]> {
  const { active, quarantine, standIn } = stale;
  const { link } = standInNames(quarantine);
  const [there, away, unused] = await seeFiles(site.host, [active, quarantine, link], "keep-links");
  const image = [active, away ? quarantine : active] as const;
  if (standIn === "none") return [image];
  const isUsed = away !== undefined && there !== undefined && !sameFile(there, away);
  if (!isUsed && !unused) await makeStandIn(site, stale);
  return [image, [link, isUsed ? active : link]];
}

async function identityAt({ host }: Site, path: string): Promise<Identity> {
  return (await fileStatus(await host.worker(), { path })).identity;
}
