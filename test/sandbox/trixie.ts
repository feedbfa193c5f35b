/**
 * Debian trixie's QEMU 10 and libvirt 11 beside this machine's own: a debootstrapped system in `.cache/` whose programs run here without
 * being installed. Needs root.
 */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import path from "node:path";
import { run } from "./command.js";
import { findProgram, type InstallOptions, installMissing, updatePackageLists, withLog } from "./install.js";
import { cacheFolder } from "./kernel.js";
import { watchOver } from "./processes.js";

/** What is in it: each stands on the one before. libvirt is many packages more, so it is made for those who ask for it only. */
const contents = {
  qemu: ["qemu-system-x86", "qemu-utils"],
  libvirt: ["libvirt-daemon-system", "libvirt-clients"],
} as const;

export type TrixieContents = keyof typeof contents;

/** Where it lies once it is made. */
export function trixieFolder(which: TrixieContents): string {
  return path.join(cacheFolder, `trixie-${which}`);
}

/**
 * Makes it, where it is not there yet (a minute). Two runs at once wait for each other; a run that is cut leaves nothing that is taken for it.
 * @throws Error in words where this is not root, where debootstrap may not be installed, or with what debootstrap said
 */
export async function makeTrixie(which: TrixieContents, options: InstallOptions): Promise<void> {
  if (existsSync(trixieFolder(which))) return;
  mustBeRoot();
  if (which === "libvirt") await makeTrixie("qemu", options);
  if (findProgram("debootstrap") === undefined) await installMissing(options, ["debootstrap"]);
  await mkdir(cacheFolder, { recursive: true });
  options.say(`Making a Debian trixie for the tests in ${trixieFolder(which)}: ${contents[which].join(", ")}`);
  const args = which === "qemu" ? [await mirror()] : [trixieFolder("qemu")];
  const deed = `make ${trixieFolder(which)}`;
  await withLog(deed, "Check the network and the free space, then run the tests again.", (log) =>
    underLock(log, trixieFolder(which), scripts[which], [...args, ...contents[which]]),
  );
}

/**
 * The beginning of a command line that runs a program of trixie's: its /usr and /etc lie over this machine's in a mount namespace of the
 * program's own, so every other path means the same file as outside, in /proc too, and nothing is left to undo. The program keeps the pid.
 */
export function inTrixie(which: TrixieContents): string[] {
  mustBeRoot();
  const enter = `mount --bind "$0/usr" /usr && mount --bind "$0/etc" /etc && exec "$@"`;
  // slave: what is mounted on this machine later is seen there too
  return ["unshare", "--mount", "--propagation", "slave", "sh", "-c", enter, trixieFolder(which)];
}

function mustBeRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new Error("Unable to run programs of Debian trixie's: mounting them needs root. Run the tests as root, or on this machine's QEMU.");
}

/** Where apt on this machine gets Debian from. */
async function mirror(): Promise<string> {
  const which = ["Created-By: Packages", "Origin: Debian", "Component: main"];
  const ask = async () => archiveIn(await run("apt-get", ["indextargets", "--format", "$(CODENAME) $(REPO_URI)", ...which]));
  const known = await ask();
  if (known !== undefined) return known;
  await updatePackageLists();
  const found = await ask();
  if (found === undefined) throw new Error("Unable to make a Debian trixie: apt on this machine has no Debian archive among its sources.");
  return found;
}

/** Of lines `<codename> <address>` the address of the first that is a release itself, not its updates, security or backports. */
export function archiveIn(targets: string): string | undefined {
  return /^[a-z]+ (\S+)$/m.exec(targets)?.[1];
}

/**
 * `$0` is the folder to be made, `$1` the script that makes it at `$0.partial`. Whoever has the lock is alone: what lies there is of a run
 * that was cut. The script's mounts and processes are in namespaces that end with it.
 */
const alone = `set -e; exec 9>"$0.lock"; flock 9
[ ! -e "$0" ] || exit 0
rm -rf --one-file-system "$0.partial"
exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc sh -c "set -e; $1" "$@"`;

const finish = `chroot "$new" apt-get clean; sync -f "$new"; mv -T "$new" "\${new%.partial}"`;

/** As `sh -c … <the script> <source> <packages…>`, with the folder in `new`. */
const scripts: Readonly<Record<TrixieContents, string>> = {
  qemu: `mirror=$1; shift; debootstrap --variant=minbase --include="$(echo "$@" | tr ' ' ,)" trixie "$new" "$mirror"; ${finish}`,
  // no service of the packages is started: policy-rc.d(8)
  libvirt: `cp -a "$1" "$new"; shift; printf '#!/bin/sh\\nexit 101\\n' >"$new/usr/sbin/policy-rc.d"; chmod 755 "$new/usr/sbin/policy-rc.d"
mount --bind /dev "$new/dev"; mount -t proc proc "$new/proc"; export DEBIAN_FRONTEND=noninteractive
chroot "$new" apt-get update -q; chroot "$new" apt-get install -q -y --no-install-recommends "$@"
umount "$new/proc" "$new/dev"; ${finish}`,
};

/** Makes `folder` by a script that writes to `$new` and moves it into place at its end; does nothing where it is there. @throws Error with its status */
export async function underLock(log: string, folder: string, script: string, args: readonly string[]): Promise<void> {
  const output = await open(log, "a");
  const environment = { ...process.env, new: `${folder}.partial` };
  const child = spawn("sh", ["-c", alone, folder, script, ...args], { stdio: ["ignore", output.fd, output.fd], env: environment });
  watchOver(child, "debootstrap");
  const status = await new Promise((resolve, reject) =>
    child.once("error", reject).once("exit", (code, signal) => resolve(code ?? signal)),
  );
  await output.close();
  if (status !== 0) throw new Error(`it ended with ${status}`);
}
