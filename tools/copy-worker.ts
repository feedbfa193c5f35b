/** Puts the worker's python modules beside the compiled client, from where they are sent to hosts. */

import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";

const root = path.resolve(__dirname, "../..");
const sources = path.join(root, "provider/host/worker");
const compiled = path.join(root, "dist/provider/host/worker");

/** A module that is gone from the sources goes there too. */
export function copyWorker(): void {
  mkdirSync(compiled, { recursive: true });
  const isModule = (file: string) => file.endsWith(".py");
  for (const file of readdirSync(compiled).filter(isModule)) rmSync(path.join(compiled, file));
  for (const file of readdirSync(sources).filter(isModule)) copyFileSync(path.join(sources, file), path.join(compiled, file));
}

if (require.main === module) copyWorker();
