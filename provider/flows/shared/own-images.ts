/** The images that a flow made, and removes again: only where they are proved to be these files. */

import { compareFiles, type WhichFile, whichOf } from "../../core/disk/chain.js";
import { impossible } from "../../core/errors.js";
import { seeFiles } from "../../host/file-seen.js";
import type { Host } from "../../host/host.js";
import { removeProved } from "../../host/proved-files.js";
import type { GuestProcess, GuestView } from "../../hypervisor/hypervisor.js";

/** An image with what was written down of it, once it was made. */
export interface OwnImage {
  path: string;
  made: WhichFile | undefined;
  /**
   * Whether nobody but us gives such a name. Then the name with the recorded inode is proof enough, or the name alone where nothing was recorded
   * yet: 0.1.0 wrote no more.
   */
  named: "by us" | "by the user";
  maker: "this move" | "this snapshot";
}

/** Why an image stays. */
export interface Kept {
  /** To follow its path in a sentence. */
  why: string;
  advice: string;
}

/** @returns undefined where it is gone @throws UserError if the host refuses it */
export async function removeOwn(host: Host, image: OwnImage): Promise<Kept | undefined> {
  const recorded = await recordedOf(host, image);
  if (!recorded) return undefined;
  const removal = await removeProved(host, image.path, recorded);
  switch (removal.end) {
    case "removed":
    case "absent":
      return undefined;
    case "another":
      return { why: `is not the file that ${image.maker} made there`, advice: takeAway };
    case "unproved":
      return { why: `is not proved to be the file that ${image.maker} made there`, advice: takeAway };
    case "open":
      return { why: `is in use (${removal.words})`, advice: "Let that process close it, then run again." };
    default:
      return impossible(removal);
  }
}

const takeAway = "Take it away, then run again.";

async function recordedOf(host: Host, { path, made, named }: Omit<OwnImage, "maker">): Promise<WhichFile | undefined> {
  if (named === "by the user" || made?.identity) return made;
  const [there] = await seeFiles(host, [path], "keep-links");
  return there && made && compareFiles(there, made) === "different" ? made : there;
}

/** Who has the image open, as one look has shown it. */
interface OpenBy {
  view: Pick<GuestView, "nodes">;
  node: string;
  process: GuestProcess | undefined;
}

/**
 * What 0.1.0 wrote down is completed as long as our own node has the file open: it has been so since the file was made, and no other file had
 * its inode meanwhile.
 */
export async function provedByNode(
  host: Host,
  { path, made }: Pick<OwnImage, "path" | "made">,
  by: OpenBy,
): Promise<WhichFile | undefined> {
  if (!made || made.identity || !by.view.nodes.some(({ name }) => name === by.node)) return made;
  const [there] = await seeFiles(host, [path], "keep-links");
  const isIt = there && compareFiles(there, made) !== "different" && by.process?.openFiles.has(`${there.dev}:${there.ino}`);
  return isIt ? whichOf(there) : made;
}
