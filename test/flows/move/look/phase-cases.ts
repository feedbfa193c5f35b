/** Phases as tables of cases: the files that a case makes, what a look shows of the guest, and what that is taken for. */

import assert from "node:assert/strict";
import { nodeNames } from "../../../../provider/core/disk/names.js";
import { phaseOf } from "../../../../provider/flows/move/look/phases.js";
import type { Phase } from "../../../../provider/flows/shared/phase.js";
import type { Manifest, Standing } from "../../../../provider/journal/manifest.js";
import { key, MoveScene, overlayName } from "../scene.js";
import { evidenceOf, type Shown } from "./evidence.js";

export const target = nodeNames.targets(key)[0];
export const overlayNode = nodeNames.overlay(key);
export const landing = nodeNames.landings(key)[0];

export interface Case {
  title: string;
  /** Makes the files, and what is written down. */
  given: (scene: MoveScene) => Promise<Manifest>;
  shown?: Shown | ((scene: MoveScene, manifest: Manifest) => Promise<Shown>);
  standing: Standing;
  phase: Phase["phase"];
  /** Of a contradiction, or of a directory that is another one. */
  why?: RegExp;
}

export function check(cases: readonly Case[]): void {
  for (const { title, given, shown, standing, phase, why } of cases) {
    it(`is ${phase} ${title}`, async () => {
      await using scene = await MoveScene.open();
      const manifest = await given(scene);
      const found = await phaseOf(evidenceOf(scene, manifest, typeof shown === "function" ? await shown(scene, manifest) : shown));
      assert.deepEqual([found.standing, found.seen.phase], [standing, phase], JSON.stringify(found.seen));
      assert.match("why" in found.seen ? found.seen.why : "", why ?? /^$/);
    });
  }
}

/** Strategy mirror: all is copied, and the target is there. */
export async function mirrored(scene: MoveScene, more: Partial<Manifest> = {}): Promise<Manifest> {
  await scene.copied("path2/base.raw");
  await scene.write("path2/disk.qcow2");
  return scene.manifest(more);
}

/** The switch to the target is written down. */
export async function switched(scene: MoveScene): Promise<Manifest> {
  const manifest = await mirrored(scene);
  return { ...manifest, current: manifest.destination.target, switched: await scene.identity("path2/disk.qcow2") };
}

/** Strategy snapshot: the guest runs on the target, and a boot must find it there. */
export async function onTarget(
  scene: MoveScene,
  collapse: "commit" | "pull" | "none",
  more: Partial<Manifest["overlay"]> = {},
): Promise<Manifest> {
  const manifest = await scene.frozen(collapse, {}, more);
  await scene.write(`path2/${collapse === "pull" ? "disk.qcow2" : overlayName}`);
  return { ...manifest, current: manifest.destination.target };
}
