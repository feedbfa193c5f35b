/** Whether a guest's QEMU may use a place: asked as its user, since libvirt opens no file for us. */

import { UserError } from "../../core/errors.js";
import type { Host } from "../../host/host.js";

/**
 * Status 1: it may not. Only root can become another user; AppArmor and SELinux are libvirt's own to arrange.
 *
 * @host id, setpriv, test
 * @for reading
 * @does tries whether a user may write to a file
 * @changes nothing
 * @as the user and group of the guest's QEMU, if the account is root; else it does nothing
 * @why libvirt's QEMU must be able to use the destination
 */
const script = `[ "$(id -u)" = 0 ] && command -v setpriv >/dev/null || exit 0
if id -u -n "$2" >/dev/null 2>&1; then groups=--init-groups; else groups=--clear-groups; fi
setpriv --reuid="$2" --regid="$3" $groups -- test -w "$1"`;

/** @throws UserError if the user cannot open the file for writing */
export async function mayUse(host: Host, path: string, { uid, gid }: { uid: string; gid: string }): Promise<void> {
  const { exitStatus, stderr } = await host.run(script, [path, uid, gid]);
  if (exitStatus === 0) return;
  const words = stderr.trim() === "" ? "" : ` (${stderr.trim()})`;
  throw new UserError(
    `Unable to use ${path}: the user ${uid}:${gid}, as whom libvirt runs QEMU, may not write there${words}. Let it enter the directory.`,
  );
}
