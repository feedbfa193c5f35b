/** Who a guest is. */

import { createHash } from "node:crypto";
import { realPath } from "../../host/files.js";
import type { QmpSession } from "./client.js";
import { uuid } from "./replies.js";
import type { Way } from "./sessions.js";

/** What QEMU answers without `-uuid`. */
const noUuid = "00000000-0000-0000-0000-000000000000";

/**
 * The guest's UUID; without one, a hash of the host's machine id (else its name) and the socket's real path.
 *
 * @host QMP query-uuid
 * @for monitor
 * @does asks for the guest's UUID
 * @changes nothing
 * @as QEMU, as the user that it runs as
 * @why a manifest says whose disk it is
 */
export async function domainIdOf(session: QmpSession, { host, socket }: Way): Promise<string> {
  const { UUID } = await session.call("query-uuid", uuid);
  if (UUID !== noUuid) return UUID;
  const { machine } = (await host.worker()).hello;
  const path = await realPath(host, socket);
  return createHash("sha256").update(`${machine}\0${path}`).digest("hex").slice(0, 32);
}
