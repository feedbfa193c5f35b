/** What the host's own programs complain about, read and retold. */

import { UserError } from "../core/errors.js";
import type { Finished, Host } from "./host.js";

/** strerror(3) at the end of coreutils' complaints; LC_ALL is C there. */
export function saysMissing(complaint: string): boolean {
  return /: (No such file or directory|Not a directory)$/.test(complaint.trim());
}

/** The host's own words in one of our sentences. */
export function unable(host: Host, verb: string, path: string, answer: string | Finished): UserError {
  const said = typeof answer === "string" ? answer : answer.stderr || `exit status ${answer.exitStatus}`;
  const reason = said.trim().split("\n").pop() ?? "";
  const advice = /Permission denied|not permitted/.test(reason)
    ? `Give the account access to it, or set \`privilege: "sudo"\`.`
    : "Fix that, then run `pulumi up` again.";
  return new UserError(`Unable to ${verb} ${path} on ${host.name}: ${reason || "no reason was given"}. ${advice}`);
}
