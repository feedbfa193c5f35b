/** What a failed program of the host said, as a sentence. */

import { UserError } from "../core/errors.js";
import type { Finished, Host } from "../host/host.js";

/** Turns a failed run into a sentence: a missing qemu-img (status 127), else the last line that it printed. */
export function expectSuccess(host: Host, finished: Pick<Finished, "exitStatus" | "stderr">, unable: string): void {
  if (finished.exitStatus === 0) return;
  if (finished.exitStatus === 127) throw missing(host, unable);
  throw new UserError(`${unable} on ${host.name}: ${lastWords(finished.stderr)}.`);
}

/** There is no qemu-img. */
export function missing(host: Host, unable: string): UserError {
  return new UserError(
    `${unable} on ${host.name}: qemu-img is missing there. Install the package qemu-utils, then run \`pulumi up\` again.`,
  );
}

/** The last message of a program that starts its messages with its name; a file name may have put newlines into it. */
export function lastWords(stderr: string): string {
  const text = stderr.trim();
  const start = text.lastIndexOf("\nqemu-img: ");
  return (
    text
      .slice(start + 1)
      .replaceAll(/\s+/g, " ")
      .replace(/\.$/, "") || "no reason was given"
  );
}
