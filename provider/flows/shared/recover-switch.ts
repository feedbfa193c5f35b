/** A switch that was cut while its jobs were `pending`, and whose QEMU lives: finished or reverted by the host's worker, by what decides it. */

import { sameFile } from "../../core/disk/chain.js";
import { nextOf, standInNames } from "../../core/disk/names.js";
import { BugError } from "../../core/errors.js";
import { seeFiles } from "../../host/file-seen.js";
import { makeSymlink } from "../../host/links.js";
import type { Deciding, Stale } from "../../hypervisor/hypervisor.js";
import type { SwitchSide } from "../../journal/decided-by.js";
import type { Site } from "./site.js";
import { makeStandIn, notSwitched, notTold, type Told } from "./switch.js";

interface Cut {
  disks: readonly Told[];
  deciding: Deciding;
}

/**
 * Guest I/O goes on afterwards. The manifests stay as they are; the next look tells on which side each disk is.
 * @throws UserError if QEMU has ended meanwhile, or not all names could be given
 */
export async function recoverDisks(site: Site, cut: Cut, decided: SwitchSide): Promise<void> {
  const { guest, host, run } = site;
  if (!guest.pending) throw new BugError(`Jobs of ${guest.name} wait in a switch, and its hypervisor has no such state.`);
  const will = decided === "after" ? "finished" : "reverted";
  const planned = (plan: string) => run.say("debug", `${guest.name} on ${host.name}: a switch was cut, and is ${will}: ${plan}.`);
  const at = await filesOf(site, cut, decided);
  const result = await guest.pending.recover({ ...cut, at }, { planned }).catch((thrown: unknown) => {
    throw notTold(site, cut.disks, thrown);
  });
  if (result.end === "switched" || result.end === "stayed" || result.end === "apart") return;
  throw notSwitched(site, cut.disks, result);
}

/** The names of the plan, and where their files are now: some have their other name already. */
async function filesOf(site: Site, { disks, deciding }: Cut, decided: SwitchSide): Promise<ReadonlyMap<string, string>> {
  const at = new Map<string, string>();
  if (deciding.decidedBy === "link") {
    const { path, next, back } = deciding;
    if (decided === "before") await makeSymlink(site.host, next.leadsTo, next.path);
    await makeSymlink(site.host, back.leadsTo, back.path);
    at.set(next.path, decided === "after" ? path : next.path).set(back.path, back.path);
  } else at.set(nextOf(deciding.path), decided === "after" ? deciding.path : nextOf(deciding.path));
  for (const { source, stale } of disks) {
    if (source !== stale?.active) at.set(source, source);
    if (stale) for (const [name, path] of await staleFiles(site, stale)) at.set(name, path);
  }
  return at;
}

async function staleFiles(site: Site, stale: Stale): Promise<(readonly [name: string, path: string])[]> {
  const { active, quarantine, standIn } = stale;
  const { link } = standInNames(quarantine);
  const [there, away, unused] = await seeFiles(site.host, [active, quarantine, link], "keep-links");
  const image = [active, away ? quarantine : active] as const;
  if (standIn === "none") return [image];
  const isUsed = away !== undefined && there !== undefined && !sameFile(there, away);
  if (!isUsed && !unused) await makeStandIn(site, stale);
  return [image, [link, isUsed ? active : link]];
}
