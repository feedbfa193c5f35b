/**
 * Accounts of a host as an operator sets them up for SECURITY.md's rules. They are known only to an sshd in a mount namespace of its own,
 * with its own /etc/passwd, group, shadow and sudoers.d: nothing of the machine is changed.
 */

import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { run } from "../sandbox/command.js";
import { type DiskOptions, makeImages, planDisks } from "../sandbox/disks.js";
import type { Sandbox } from "../sandbox/sandbox.js";
import { type Sshd, startSshd } from "../sandbox/sshd.js";

/** The user and group that QEMU runs as: no name of the machine's own. */
export const qemu = { name: "vm", id: 61_001 } as const;
const deploy = { name: "deploy", id: 61_002 } as const;

export interface Account {
  /** Who signs in: QEMU's own user, or one that exists for this only. */
  user: "vm" | "deploy";
  /** Whether `deploy` is in QEMU's group. */
  group?: "member";
  /** A file in /etc/sudoers.d. */
  sudoers?: string;
  /** `hidden`: the host's /proc lists no process of another account (hidepid=2, proc(5)). */
  others?: "hidden";
  /** Options before the key in authorized_keys. */
  keyOptions?: string;
}

/** As SECURITY.md has it, word for word. */
export const asRoot = "deploy ALL=(root) NOPASSWD: /usr/bin/sh\n";

/** A QEMU of that user, whose monitor's socket is for user and group. */
export const qemusCommand = [
  ...["sh", "-c", `umask 007; exec setpriv --reuid=${qemu.id} --regid=${qemu.id} --clear-groups qemu-system-x86_64 "$@"`, "qemu"],
] as const;

/** Directories and images as SECURITY.md wants them: QEMU's, its group writes, what is made there belongs to the group. */
export async function ownedByQemu(at: (...names: string[]) => string): Promise<DiskOptions[]> {
  const disks = [{ storage: at("path1"), virtualMiB: 128 }];
  for (const disk of planDisks(disks)) await makeImages(disk);
  await mkdir(at("path2"));
  await run("chown", ["-R", `${qemu.id}:${qemu.id}`, at()]);
  await run("chmod", ["-R", "u=rwX,g=rwXs,o=", at()]);
  await chmod(path.dirname(at()), 0o711);
  return disks;
}

/** The `host` argument for such an account, with an sshd of its own. */
export async function reached(sandbox: Sandbox, account: Account, name: string) {
  const { port, user, identityFile, hostKeyFingerprint } = await startSshdFor(account, sandbox, name);
  return { address: "127.0.0.1", port, user, identityFile, hostKey: hostKeyFingerprint };
}

async function startSshdFor(account: Account, sandbox: Sandbox, name: string): Promise<Sshd> {
  const folder = path.join(sandbox.folder, name);
  const etc = path.join(folder, "etc");
  await mkdir(path.join(etc, "sudoers.d"), { recursive: true });
  await writeAccounts(account, etc);
  const through = ["unshare", "--mount", "sh", "-c", bindAndRun, account.others ?? "shown", etc];
  const sshd = await startSshd({ folder, user: account.user, through });
  sandbox.defer(() => sshd.stop());
  const keys = path.join(folder, "authorized_keys"); // read by sshd as the account
  const options = account.keyOptions === undefined ? "" : `${account.keyOptions} `;
  await writeFile(keys, (await readFile(keys, "utf8")).replace(/^(?=ssh-)/gm, options));
  await chmod(keys, 0o644);
  await chmod(folder, 0o755);
  return sshd;
}

const bindAndRun = `
etc=$1; shift
for one in passwd group shadow sudoers.d; do mount --bind "$etc/$one" "/etc/$one" || exit; done
[ "$0" = shown ] || mount -t proc -o hidepid=2,gid=65534 proc /proc || exit
exec "$@"`;

async function writeAccounts({ group, sudoers }: Account, etc: string): Promise<void> {
  const add = async (name: string, lines: string, mode: number) => {
    const own = await readFile(path.join("/etc", name), "utf8");
    await writeFile(path.join(etc, name), `${own.trimEnd()}\n${lines}`, { mode });
  };
  const people = [qemu, deploy];
  await add("passwd", people.map(({ name, id }) => `${name}:x:${id}:${id}::/tmp:/bin/sh\n`).join(""), 0o644);
  await add("shadow", people.map(({ name }) => `${name}:*:19000:0:99999:7:::\n`).join(""), 0o640);
  const members = group === "member" ? deploy.name : "";
  await add("group", `${qemu.name}:x:${qemu.id}:${members}\n${deploy.name}:x:${deploy.id}:\n`, 0o644);
  if (sudoers !== undefined) await writeFile(path.join(etc, "sudoers.d/livedisk"), sudoers, { mode: 0o440 });
}
