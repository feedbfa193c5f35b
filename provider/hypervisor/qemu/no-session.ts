/** Why a monitor's socket could not be connected to: the errno decides, no error text is read. */

import { UnreachableError, UserError } from "../../core/errors.js";
import { hostErrno } from "../../host/worker/errno.js";
import { isFailure } from "../../host/worker/worker-error.js";
import { GuestNotRunning } from "../hypervisor.js";

const { ENOENT, ENOTDIR, EACCES, EPERM, ECONNREFUSED, ENOTSOCK } = hostErrno;

/** The error to throw in the place of `cause`. @param place the socket and its host */
export function whyNoSession(place: { socket: string; hostName: string }, cause: unknown): unknown {
  if (!isFailure(cause, "system")) return cause;
  const start = `Unable to reach the monitor ${place.socket} on ${place.hostName}:`;
  switch (cause.errno) {
    case ENOENT:
    case ENOTDIR:
      return new GuestNotRunning(`${start} there is no such socket. Start the guest, or correct \`domain.qmp\`.`, { cause });
    case ECONNREFUSED:
      return new GuestNotRunning(`${start} nobody listens on it, so the guest is not running. Start it, or correct \`domain.qmp\`.`, {
        cause,
      });
    case ENOTSOCK:
      return new UserError(`${start} this is not a socket. Correct \`domain.qmp\`.`, { cause });
    case EACCES:
    case EPERM:
      return new UserError(`${start} this user may not open it. Sign in as another user, or set \`privilege\` to "sudo".`, { cause });
    default:
      return new UnreachableError(`${start} ${cause.message}. Run \`pulumi up\` again.`, { cause });
  }
}
