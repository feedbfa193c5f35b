/** Paths on the machine that runs Pulumi: key files and known_hosts. */

import { homedir } from "node:os";
import { join } from "node:path";

/** With a leading `~/` replaced by the home directory. */
export function localPath(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;
}
