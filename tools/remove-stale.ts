/** Removes from dist/ what was compiled of sources that are gone: the package holds all of dist/provider. */

import { existsSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";

/** Compiled files below `dist` whose source is not below `root` any more. */
export function staleIn(root: string, dist = path.join(root, "dist")): string[] {
  if (!existsSync(dist)) return [];
  const files = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((file) => /\.(js|js\.map|d\.ts)$/.test(file));
  return files.filter((file) => !existsSync(path.join(root, file.replace(/\.(js|js\.map|d\.ts)$/, ".ts"))));
}

export function removeStale(root: string): void {
  for (const file of staleIn(root)) rmSync(path.join(root, "dist", file));
}

if (require.main === module) removeStale(path.resolve(__dirname, "../.."));
