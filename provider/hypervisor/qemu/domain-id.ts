/** Who a guest is. */

import { createHash } from "node:crypto";
import { BugError } from "../../core/errors.js";
import { realPath } from "../../host/files.js";
import type { QmpSession } from "./client.js";
import { uuid } from "./replies.js";
import type { Way } from "./sessions.js";

/** What QEMU answers without `-uuid`. */
const noUuid = "00000000-0000-0000-0000-000000000000";

const script = `id=$(cat /etc/machine-id 2>/dev/null); printf '%s' "\${id:-$(uname -n)}"`;

/**
 * The guest's UUID; without one, a hash of the host's machine id (else its name) and the socket's real path.
 *
 * @host QMP query-uuid
 * @for monitor
 * @does asks for the guest's UUID
 * @changes nothing
 * @as QEMU, as the user that it runs as
 * @why a manifest says whose disk it is
 * @host cat, uname
 * @for reading
 * @does reads /etc/machine-id or the host's name
 * @changes nothing
 * @as the account
 * @why with the real path of its socket it is the identity of a guest without a UUID
 */
export async function domainIdOf(session: QmpSession, { host, socket }: Way): Promise<string> {
  const { UUID } = await session.call("query-uuid", uuid);
  if (UUID !== noUuid) return UUID;
  const { stdout, stderr } = await host.run(script);
  const machine = stdout.trim();
  if (machine === "") throw new BugError(`Unable to tell ${host.name}: ${JSON.stringify(stdout + stderr)}.`);
  const path = await realPath(host, socket);
  return createHash("sha256").update(`${machine}\0${path}`).digest("hex").slice(0, 32);
}
