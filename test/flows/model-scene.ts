/** A guest of the model with disks in path1, each a qcow2 on a raw base, and a run on it. */

import { copyFile, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { diskKey } from "../../provider/core/disk/names.js";
import type { Site } from "../../provider/flows/shared/site.js";
import { ModelGuest, makeQcow2 } from "./model-guest.js";
import type { Answers } from "./move/noting-guest.js";
import { MoveScene } from "./move/scene.js";

/** A qcow2 of 1 MiB that holds nothing and names base.raw beside it: made once, since each qemu-img takes a moment. */
let empty: Buffer | undefined;

function made(image: string): Promise<Buffer> {
  makeQcow2(image, { name: "base.raw", format: "raw" });
  return readFile(image);
}

export interface ModelScene {
  scene: MoveScene;
  model: ModelGuest;
  /** Their qdevs. */
  disks: readonly string[];
  /** One more disk. */
  plug: (qdev: string) => Promise<void>;
  /** Another run, with a stop of its own. */
  site: (answers?: Answers, options?: Record<string, unknown>) => Site & { destination: string };
  /** Gives a whole copy of path1's images. */
  copy: (...names: string[]) => Promise<void>;
  files: (side: string) => Promise<string[]>;
}

/** vda: path1/disk.qcow2 on path1/base.raw; each other one: path1/<qdev>.qcow2 on the same base. */
export async function modelScene(): Promise<ModelScene> {
  const scene = await MoveScene.open();
  const model = new ModelGuest(scene.host);
  await writeFile(scene.at("path1/base.raw"), "base");
  await truncate(scene.at("path1/base.raw"), 2 ** 20);
  const disks: string[] = [];
  const plug = async (qdev: string, name = qdev) => {
    const image = scene.at(`path1/${name}.qcow2`);
    empty ??= await made(image);
    await writeFile(image, empty);
    model.plug(qdev, `${name}-node`, image);
    disks.push(qdev);
  };
  await plug("vda", "disk");
  return {
    ...{ scene, model, disks, plug },
    site: (answers = {}, options = {}) => scene.site({ ...model.answers(), ...answers }, options).site,
    copy: async (...names) => {
      for (const name of names) await copyFile(scene.at(`path1/${name}`), scene.at(`path2/${name}`));
    },
    files: async (side) => (await readdir(scene.at(side))).sort(),
  };
}

export const keyOf = (qdev: string) => diskKey("domain", qdev);
