/** A build of the provider as it was at an earlier commit, made once into `.cache/`. */

import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { run } from "../sandbox/command.js";
import { cacheFolder } from "../sandbox/kernel.js";

const repository = path.resolve(__dirname, "../../..");

export interface Build {
  /** As git abbreviates it. */
  commit: string;
  /** Its `dist/provider`. */
  provider: string;
}

/** @throws Error with git's or npm's words */
export async function buildOf(revision: string): Promise<Build> {
  const commit = (await run("git", ["rev-parse", "--short", `${revision}^{commit}`], { folder: repository })).trim();
  const folder = path.join(cacheFolder, `against-${commit}`);
  const build = { commit, provider: path.join(folder, "dist", "provider") };
  if (existsSync(build.provider)) return build;
  console.log(`Building ${commit} (once).`);
  const workshop = `${folder}.part`;
  await rm(workshop, { recursive: true, force: true });
  await mkdir(workshop, { recursive: true });
  await run("sh", ["-c", 'git archive "$1" | tar -x -C "$2"', "sh", commit, workshop], { folder: repository });
  await run("npm", ["ci", "--no-audit", "--no-fund"], { folder: workshop, timeoutSeconds: 600 });
  await rename(workshop, folder);
  return build;
}
