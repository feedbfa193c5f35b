/** Why a monitor's socket could not be reached: the host is asked, no error text is read. */

import { isKind, messageOf, UnreachableError, UserError } from "../../core/errors.js";
import type { Host } from "../../host/host.js";
import { GuestNotRunning } from "../hypervisor.js";
import { MonitorBusy } from "./client.js";

/**
 * Prints one word. A folder that we may not search hides the socket, so that is looked for before "missing" is said.
 * Who bound a relative name may mean this socket or one of the same name elsewhere: then nothing is said for sure.
 *
 * @host stat, basename, dirname, readlink, awk
 * @for reading
 * @does looks why a monitor's socket cannot be reached; reads /proc/net/unix
 * @changes nothing
 * @as the account
 * @why the error says what to do
 */
const script = `
listens() {
  wanted=$(stat -L -c %d:%i -- "$1")
  name=$(basename -- "$(readlink -f -- "$1")") awk '$4 == "00010000" {
    for (field = 1; field <= 7; field++) sub(/^[^ ]+ +/, "")
    last = $0; sub(/.*\\//, "", last)
    if (last == ENVIRON["name"]) print
  }' /proc/net/unix | while read -r bound; do
    case $bound in /*) [ "$(stat -L -c %d:%i -- "$bound" 2>/dev/null)" = "$wanted" ] || continue ;; esac
    echo yes
  done
}
if [ ! -e "$1" ]; then
  folder=$1
  while [ ! -e "$folder" ]; do folder=$(dirname -- "$folder"); done
  [ -x "$folder" ] && echo missing || echo hidden
elif [ ! -S "$1" ]; then echo other
elif [ ! -w "$1" ]; then echo denied
elif [ -n "$(listens "$1")" ]; then echo listening
else echo deaf
fi`;

/** The error to throw when no stream to the socket came about, or when it ended before a word was said. */
export async function whyNoStream(host: Host, socket: string, cause: unknown): Promise<Error> {
  const start = `Unable to reach the monitor ${socket} on ${host.name}:`;
  const { stdout } = await host.run(script, [socket]);
  switch (stdout.trim()) {
    case "missing":
      return new GuestNotRunning(`${start} there is no such socket. Start the guest, or correct \`domain.qmp\`.`, { cause });
    case "deaf":
      return new GuestNotRunning(`${start} nobody listens on it, so the guest is not running. Start it, or correct \`domain.qmp\`.`, {
        cause,
      });
    case "other":
      return new UserError(`${start} this is not a socket. Correct \`domain.qmp\`.`, { cause });
    case "hidden":
    case "denied":
      return new UserError(`${start} this user may not open it. Sign in as another user, or set \`privilege\` to "sudo".`, { cause });
    default:
      return isKind(cause, "user") ? cause : new UnreachableError(`${start} ${messageOf(cause)}`, { cause });
  }
}

/** As {@link whyNoStream}, for a stream through `socat` or `nc`: it ends at once where nobody listens. No monitor, or a silent one, stays what it is. */
export async function whyNoGreeting(host: Host, socket: string, cause: unknown): Promise<unknown> {
  if (!isKind(cause, "unreachable") || cause instanceof MonitorBusy) return cause;
  const why = await whyNoStream(host, socket, cause);
  return isKind(why, "user") ? why : cause;
}
