/** The quickstart's scenario: adopt a disk, change its destination, look at the preview, move it, check it. */

import { mkdir, realpath, symlink } from "node:fs/promises";
import path from "node:path";
import { type Engine, type OperationResult, openEngine } from "../engine/engine.js";
import { chainOf, checkImage } from "../sandbox/check.js";
import type { Guest } from "../sandbox/guest.js";
import { Operator } from "../sandbox/operator.js";
import type { Sandbox } from "../sandbox/sandbox.js";

/** The last line of `npm start -- --json`. */
export interface Figures {
  /** Which engine ran it: `pulumi v3.x.y` or `harness (…)`. */
  engine: string;
  before: Place;
  after: Place;
  records: { acknowledged: number; lost: number; corrupt: number };
  pauseMs: number;
  copiedBytes: number;
  /** From the beginning of the second `up` to its end. */
  seconds: number;
}

export interface Place {
  /** Absolute path of the file that takes the guest's writes. */
  active: string;
  /** Paths from the top. */
  chain: string[];
}

const projectFolder = path.resolve(__dirname, "../../..");

export async function story(sandbox: Sandbox, interrupted: AbortSignal): Promise<Figures> {
  const folder = path.join(sandbox.folder, "web");
  const link = path.join(folder, "disks");
  console.log("Booting a guest that writes without pause to a disk whose chain is common ← old, under path1 …");
  await mkdir(folder);
  await symlink(path.join(folder, "path1"), link);
  const guest = await sandbox.startGuest({ name: "web", disks: [{ storage: path.join(folder, "path1"), through: link }] });
  const workFolder = path.join(sandbox.folder, "pulumi");
  await mkdir(workFolder);
  const open = (destination: string) =>
    openEngine({
      project: projectFolder,
      workFolder,
      prefer: "cli",
      config: configOf(sandbox, guest, link, path.join(folder, destination)),
    });

  const adopting = await open("path1");
  console.log(`\npulumi up — the disk is adopted where it is (engine: ${adopting.describe()})`);
  must(await adopting.up(watched(interrupted)));
  const before = await placeOf(guest);

  const moving = await open("path2");
  console.log("\npulumi preview — the destination is path2 now");
  must(await moving.preview(watched(interrupted)));
  console.log("\npulumi up — the disk moves while the guest writes");
  const began = performance.now();
  const moved = must(await moving.up(watched(interrupted)));
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  await guest.waitForRecords(20);
  const after = await placeOf(guest);
  if (after.active !== path.join(folder, "path2", path.basename(before.active)))
    throw new Error(`The disk did not move: it is at ${after.active}.`);
  await guest.stop();
  const { acknowledged, lost, corrupt } = await checkImage(after.active, guest.disk());
  const records = { acknowledged, lost: lost.length, corrupt: corrupt.length };
  return { engine: moving.describe(), before, after, records, ...toldBy(moved), seconds };
}

function configOf(sandbox: Sandbox, guest: Guest, link: string, destination: string): Record<string, string> {
  const values = { host: JSON.stringify(sandbox.host), qmp: guest.qmpSocket, link, destination };
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [`livedisk-quickstart:${key}`, value]));
}

/** Every line as it comes; ended when the user asks for it. */
function watched(interrupted: AbortSignal): Parameters<Engine["up"]>[0] {
  interrupted.throwIfAborted();
  return { onProgress: (line) => console.log(`  ${line}`), signal: interrupted };
}

function must(result: OperationResult): OperationResult {
  if (!result.ok) throw new Error(`The engine ended with exit status ${result.exitStatus}:\n${result.output}`);
  return result;
}

/** Asked by another road than the provider's: the guest's second monitor, and qemu-img. */
async function placeOf(guest: Guest): Promise<Place> {
  await using operator = await Operator.connect(guest.operatorSocket);
  const active = await realpath(await operator.activeImage("vda"));
  const chain = await chainOf(active);
  return { active, chain: chain.map((layer) => layer.path) };
}

function toldBy({ outputs }: OperationResult): { pauseMs: number; copiedBytes: number } {
  const { pauseMs, copiedBytes } = outputs.vda as { pauseMs: number; copiedBytes: number };
  return { pauseMs, copiedBytes };
}
