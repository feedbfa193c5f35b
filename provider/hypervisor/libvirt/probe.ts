/** Whether a guest's QEMU may use a place: asked as its user, since libvirt opens no file for us. */

import { UserError } from "../../core/errors.js";
import type { Host } from "../../host/host.js";

const noSetpriv = 3;
const cannotBecome = 4;

/**
 * Status 1: it may not. AppArmor and SELinux are libvirt's own to arrange. Only root can become another user: for any other account it is libvirt
 * who answers, when the copy begins. Without setpriv (util-linux) root cannot tell, and that is not "it may". One that fails by itself is not "it
 * may not": BusyBox's, which has no --reuid, ends with 1 as `test` does.
 *
 * @host id, setpriv, true, test
 * @for reading
 * @does tries whether a user may write to a file
 * @changes nothing
 * @as the user and group of the guest's QEMU, if the account is root or that user; else it does nothing
 * @why libvirt's QEMU must be able to use the destination
 */
const script = `if [ "$(id -u)" = "$2" ]; then test -w "$1"; exit; fi
[ "$(id -u)" = 0 ] || exit 0
command -v setpriv >/dev/null || exit ${noSetpriv}
if id -u -n "$2" >/dev/null 2>&1; then groups=--init-groups; else groups=--clear-groups; fi
setpriv --reuid="$2" --regid="$3" $groups -- true || exit ${cannotBecome}
setpriv --reuid="$2" --regid="$3" $groups -- test -w "$1"`;

/** @throws UserError if the user cannot open the file for writing, or if the host cannot tell */
export async function mayUse(host: Host, path: string, { uid, gid }: { uid: string; gid: string }): Promise<void> {
  const { exitStatus, stderr } = await host.run(script, [path, uid, gid]);
  if (exitStatus === 0) return;
  const who = `the user ${uid}:${gid}, as whom libvirt runs QEMU`;
  const said = stderr.trim() === "" ? "" : ` (${stderr.trim()})`;
  if (exitStatus === 1) throw new UserError(`Unable to use ${path}: ${who}, may not write there${said}. Let it enter the directory.`);
  const why = exitStatus === noSetpriv ? "there is no setpriv" : `the check ended with status ${exitStatus}${said}`;
  throw new UserError(
    `Unable to tell whether ${who}, may write to ${path} on ${host.name}: ${why}. Install setpriv (util-linux) there, then run again.`,
  );
}
