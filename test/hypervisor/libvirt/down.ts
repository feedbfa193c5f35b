/** A libvirtd that ends at some place of a switch, and comes back. */

import assert from "node:assert/strict";
import { readdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { until } from "../../sandbox/command.js";
import type { Daemon } from "../../sandbox/libvirtd.js";
import type { LibvirtStage } from "./stage.js";

/** What virsh is told next at each place of a switch. */
export const switchPlaces = {
  "after the suspend": "blockjob --pivot",
  "after the pivot, before the definition": "update-device --config",
  "before the resume": "resume '",
} as const;

export type SwitchPlace = keyof typeof switchPlaces;

interface Down {
  place: SwitchPlace;
  /** @default "SIGTERM", with which it takes its socket away */
  signal?: "SIGTERM" | "SIGKILL";
  /** Once the switch waits for it; then it is started again. */
  meanwhile: () => Promise<unknown>;
  /** As what it comes back. @default "libvirtd" */
  daemon?: Daemon;
}

/** `going` comes to the place, libvirtd ends there, and is started again afterwards. @returns what `going` comes to, if it does */
export async function whileDown<T>(
  stage: LibvirtStage,
  going: () => Promise<T>,
  { place, signal = "SIGTERM", meanwhile, daemon }: Down,
): Promise<{ ended: Promise<T> }> {
  const { virshLog, libvirtd } = stage;
  const command = switchPlaces[place];
  const before = await told(stage, command);
  await virshLog.hold(command);
  const ended = going();
  const tooEarly = ended.then((how) => assert.fail(`It ended before virsh was told ${command}: ${JSON.stringify(how)}`));
  tooEarly.catch(() => undefined);
  const isThere = until(
    90,
    async () => (await told(stage, command)) > before || undefined,
    () => `virsh was not told ${command}.`,
  );
  await Promise.race([isThere, tooEarly]);
  await libvirtd.kill(signal);
  await virshLog.release();
  await asksInVain(stage, 2);
  await meanwhile();
  await libvirtd.launch(daemon);
  return { ended };
}

/** The switch asks so often whether libvirtd is there again. */
export async function asksInVain(stage: LibvirtStage, times: number): Promise<void> {
  const before = await told(stage, "hostname");
  await until(
    60,
    async () => (await told(stage, "hostname")) >= before + times || undefined,
    () => "Nobody asks for libvirtd.",
  );
}

/** The definition names the disk by an alias of its directory: then it is ours to correct, since libvirt compares names (9.0). */
export async function defineByAlias({ libvirtd, guest }: LibvirtStage, active: string): Promise<void> {
  const alias = `${path.dirname(active)}-alias`;
  await symlink(path.dirname(active), alias);
  const xml = await libvirtd.virsh("dumpxml", "--inactive", guest.name);
  const file = guest.at("alias.xml");
  await writeFile(file, xml.replaceAll(active, path.join(alias, path.basename(active))));
  await libvirtd.virsh("define", file);
}

async function told(stage: LibvirtStage, command: string): Promise<number> {
  return (await stage.virshLog.sent()).filter((line) => line.startsWith(command)).length;
}

/** The guest writes nothing while the switch asks so often whether libvirtd is there again. */
export async function standsStill(stage: LibvirtStage, times: number): Promise<void> {
  const written = () => stage.guest.disk().acknowledged().length;
  const before = written();
  await asksInVain(stage, times);
  assert.equal(written(), before);
}

/** The guest runs and writes; what it runs on and its definition are on this side, and no manifest is left. */
export async function isAt(stage: LibvirtStage, side: "path1" | "path2"): Promise<void> {
  const active = stage.at(side, "old.qcow2");
  assert.equal(await stage.guest.state(), "running");
  assert.deepEqual(await stage.places(), { live: active, inactive: active });
  await stage.guest.waitForRecords(5);
  const names = await Promise.all(["path1", "path2"].map((each) => readdir(stage.at(each))));
  assert.deepEqual(
    names.flat().filter((name) => name.startsWith("lm-")),
    [],
  );
}
