/** The process behind a monitor, from the host's /proc. */

import type { GuestProcess } from "../hypervisor.js";
import type { QmpSession } from "./client.js";
import type { Monitor } from "./monitor.js";
import type { Way } from "./sessions.js";

/**
 * One round trip; it looks through all processes of the host. /proc/net/unix names a socket as its owner bound it, perhaps relative to its folder or seen from its own root: so the
 * name only narrows the search, and the socket's device and inode, looked up as that process sees it, decide.
 * Debian's awk is an old mawk: no /x{7}/. Flags 00010000 are __SO_ACCEPTCON: it listens. A regular file's mode begins with 8 and has four hex digits.
 *
 * @host readlink, stat, ls, awk
 * @for reading
 * @does looks for the QEMU behind a socket, in /proc of all processes that the account may see
 * @changes nothing
 * @as the account
 * @why the active image must be the very file that this process has open
 */
const search = `
real=$(readlink -f -- "$1") && wanted=$(stat -L -c %d:%i -- "$real") || exit 0
ls -l /proc/[0-9]*/fd 2>/dev/null | name=\${real##*/} awk '
  NR == FNR && $4 == "00010000" {
    inode = $7
    for (field = 1; field <= 7; field++) sub(/^[^ ]+ +/, "")
    last = $0; sub(/.*\\//, "", last)
    if (last == ENVIRON["name"]) bound[inode] = $0
  }
  NR == FNR { next }
  /^\\/proc\\/[0-9]+\\/fd:$/ { split($0, part, "/"); pid = part[3]; next }
  match($0, /socket:\\[[0-9]+\\]$/) { inode = substr($0, RSTART + 8, RLENGTH - 9); if (inode in bound) print pid, bound[inode] }
' /proc/net/unix - | while read -r pid bound; do
  case $bound in /*) seen=/proc/$pid/root$bound ;; *) seen=/proc/$pid/cwd/$bound ;; esac
  [ "$(stat -L -c %d:%i -- "$seen" 2>/dev/null)" = "$wanted" ] || continue
  case $(readlink "/proc/$pid/exe") in *qemu* | *kvm*) ;; *) continue ;; esac
  echo "$pid"
  break
done`;

/** Undefined where the host hides it: another user's process, or another PID namespace. It is the same as long as a session with its monitor lasts. */
export async function pidBehind({ host, socket }: Way): Promise<number | undefined> {
  const { stdout } = await host.run(search, [socket]);
  return stdout === "" ? undefined : Number(stdout);
}

/**
 * @host readlink, stat, sed
 * @for reading
 * @does looks which files that process has open, and in which directory it is
 * @changes nothing
 * @as the account
 * @why names of a command line may be relative, or lead elsewhere by now
 */
const look = `
cwd=$(readlink "/proc/$1/cwd") || exit 0
printf 'cwd %s\\n' "$cwd"
stat -L -c '%f %d:%i' "/proc/$1/fd/"* 2>/dev/null | sed -n 's/^8... /file /p'`;

/** What the process has open now; undefined where it has ended, or the host hides that. */
export async function processNow({ host }: Way, pid: number): Promise<GuestProcess | undefined> {
  const { stdout } = await host.run(look, [String(pid)]);
  const lines = stdout.split("\n").map((line) => ({ word: line.split(" ", 1)[0], rest: line.slice(line.indexOf(" ") + 1) }));
  const workingDirectory = lines.find(({ word }) => word === "cwd")?.rest;
  if (workingDirectory === undefined) return undefined;
  const openFiles = new Set(lines.filter(({ word }) => word === "file").map(({ rest }) => rest));
  return { pid, workingDirectory, openFiles };
}

const pids = new WeakMap<QmpSession, number>();

/** The process behind a monitor: looked for once in a session, since it is the same as long as that lasts. */
export async function processOf(monitor: Monitor, way: Way): Promise<GuestProcess | undefined> {
  const known = monitor.isOpen ? monitor.use(async (session) => pids.get(session) ?? (await findProcess(session, way))) : undefined;
  const pid = await (known ?? pidBehind(way));
  return pid === undefined ? undefined : processNow(way, pid);
}

/** What this account may not see, another one may. */
async function findProcess(session: QmpSession, way: Way): Promise<number | undefined> {
  const pid = await pidBehind(way);
  if (pid !== undefined) pids.set(session, pid);
  return pid;
}
