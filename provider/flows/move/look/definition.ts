/** The persistent definition of a domain beside what it runs on. Pure. */

import type { ImageView } from "../../../hypervisor/hypervisor.js";
import type { Manifest } from "../../../journal/manifest.js";

/** What somebody else wrote into the definition is mended at the end of the move, as drift. */
export function definitionBehind(manifest: Manifest, { definedAt }: Pick<ImageView, "definedAt">, named: string): boolean {
  const { source, destination, overlay } = manifest;
  const ours = [source.active, destination.target, overlay?.path, overlay?.landing];
  return definedAt !== undefined && definedAt !== named && ours.includes(definedAt);
}
