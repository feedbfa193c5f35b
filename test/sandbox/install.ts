/** What the tests need on this machine, found or installed with apt-get. */

import { accessSync, constants, existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { run } from "./command.js";

/** Program → Debian package. A program with a path is wanted exactly there. */
const needed: Readonly<Record<string, string>> = {
  "qemu-system-x86_64": "qemu-system-x86",
  "qemu-img": "qemu-utils",
  "qemu-io": "qemu-utils",
  sshd: "openssh-server",
  "ssh-keygen": "openssh-client",
  busybox: "busybox-static",
  cpio: "cpio",
  lz4: "lz4",
  // releases before the worker talk to monitors with it: `npm run rows`
  socat: "socat",
  flock: "util-linux",
  mount: "mount",
  "mkfs.ext4": "e2fsprogs",
  "mkfs.btrfs": "btrfs-progs",
  "mkfs.xfs": "xfsprogs",
  filefrag: "e2fsprogs",
  "qemu-nbd": "qemu-utils",
  ip: "iproute2",
  // with the user that its QEMU runs as
  libvirtd: "libvirt-daemon-system",
  virsh: "libvirt-clients",
  sudo: "sudo",
  strace: "strace",
  // the worker's own, and what tests of it look for
  "/usr/bin/python3": "python3",
  // the types and the style of the worker's program
  mypy: "mypy",
  flake8: "flake8",
};

/** Daemons and their like are not always in a user's PATH. */
const folders = [...(process.env.PATH ?? "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/** Where a program lies, or undefined. */
export function findProgram(name: string): string | undefined {
  return folders.map((folder) => path.resolve(folder, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Debian packages of what is not there, each once, sorted. */
export function missingPackages(find: (program: string) => string | undefined = findProgram): string[] {
  const missing = Object.keys(needed).filter((program) => find(program) === undefined);
  return [...new Set(missing.map((program) => needed[program] ?? program))].sort();
}

export interface InstallOptions {
  /** `refuse`: say what is missing and how to install it, and install nothing. */
  install: "allow" | "refuse";
  /** Told before anything is installed. */
  say(line: string): void;
}

/**
 * Makes sure that all programs are there.
 * Services of the packages are not started: an sshd on port 22 is not what somebody who runs tests has asked for.
 * @throws Error with packages and command when it may not or cannot install
 */
export async function installMissing(options: InstallOptions, missing = missingPackages()): Promise<void> {
  if (missing.length === 0) return;
  const command = `apt-get install --no-install-recommends ${missing.join(" ")}`;
  const byHand = `Install what is missing with "sudo ${command}", then run the tests again.`;
  if (options.install === "refuse")
    throw new Error(`Unable to run the tests: these packages are missing: ${missing.join(", ")}. ${byHand}`);
  options.say(`Installing what the tests need: ${command}`);
  const script = existsSync("/usr/sbin/policy-rc.d") ? installScript : quietInstallScript;
  await withLog("install the packages", byHand, (log) => asRoot(script, [log, ...missing], byHand));
}

let updating: Promise<void> | undefined;

/** Fetches apt's package lists, once in this process. */
export function updatePackageLists(): Promise<void> {
  const byHand = `Run "sudo apt-get update", then run the tests again.`;
  updating ??= withLog("update the package lists", byHand, (log) => asRoot(updateScript, [log], byHand));
  return updating;
}

const updateScript = `exec >"$1" 2>&1; apt-get update -q`;

const installScript = `log=$1; shift; export DEBIAN_FRONTEND=noninteractive
{ apt-get update -q && apt-get install -q -y --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null`;

/** Debian's own way to keep services from starting (invoke-rc.d(8)); the file lives only as long as this script. */
const quietInstallScript = `trap 'rm -f /usr/sbin/policy-rc.d' EXIT; trap 'exit 1' HUP INT TERM
printf '#!/bin/sh\\n# Left by the tests of pulumi-livedisk: may be removed.\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
${installScript}`;

async function asRoot(script: string, args: readonly string[], byHand: string): Promise<void> {
  const shell = ["sh", "-c", script, "sh", ...args];
  if (process.getuid?.() === 0) return void (await run("env", shell, { timeoutSeconds: 900 }));
  const allowed = await run("sudo", ["-n", "true"]).then(
    () => "yes",
    () => "no",
  );
  if (allowed === "no") throw new Error(`root is needed, and sudo asks for a password. ${byHand}`);
  await run("sudo", ["-n", ...shell], { timeoutSeconds: 900 });
}

/** Shows what apt-get said only when it failed. */
export async function withLog(deed: string, byHand: string, act: (log: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "livedisk-apt-"));
  const log = path.join(folder, "apt.log");
  await writeFile(log, "");
  try {
    await act(log);
  } catch (cause) {
    const said = (await readFile(log, "utf8")).trim().split("\n").slice(-20).join("\n");
    throw new Error(`Unable to ${deed}: ${said || (cause instanceof Error ? cause.message : String(cause))}\n${byHand}`, { cause });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
