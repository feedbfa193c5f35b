/** What virsh is told on the host, word for word. */

import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { makeFolder } from "./folders.js";
import { findProgram } from "./install.js";
import { chosenRelease, libvirtCommand } from "./qemu.js";
import { createSandbox, type Sandbox } from "./sandbox.js";

/** A `virsh` that writes down all that it is told, arguments and lines, then does it. */
export class VirshLog {
  readonly #before: string[] = [];

  private constructor(private readonly folder: string) {}

  /**
   * Its sandbox, which ends it: whoever signs in there finds this virsh first.
   * @param definitions whether the account finds those of the sandbox's libvirtd, as those of its own sessions (`~/.config/libvirt`)
   */
  static async inSandbox(definitions: "hidden" | "seen" = "hidden"): Promise<{ sandbox: Sandbox; virshLog: VirshLog }> {
    const { path: folder, remove } = await makeFolder("livedisk-virsh-");
    const virshLog = await VirshLog.make(folder);
    const own = definitions === "seen" ? ` HOME=${folder}` : "";
    const SetEnv = `PATH=${folder}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin${own}`;
    const sandbox = await createSandbox("libvirt", { sshd: { settings: { SetEnv } } });
    await mkdir(path.join(folder, ".config"));
    await symlink(path.join(sandbox.folder, "libvirt/etc"), path.join(folder, ".config/libvirt"));
    sandbox.defer(remove);
    return { sandbox, virshLog };
  }

  private static async make(folder: string): Promise<VirshLog> {
    const log = path.join(folder, "virsh.log");
    // trixie's has its own mount namespace; by its full path, since this script is the first virsh in PATH
    const words = chosenRelease() === "host" ? [findProgram("virsh") ?? "virsh"] : [...libvirtCommand(), "/usr/bin/virsh"];
    // qemu:///system without a socket's name: which one there is, virsh finds out
    const within = `mount --bind '${folder}/run' /run/libvirt && exec "$@"`;
    const enter = `exec unshare --mount --propagation private sh -c ${quoted([within])} sh ${quoted(words)} "$@"`;
    const real = `real() { if [ -e '${folder}/run' ]; then ${enter}; fi; exec ${quoted(words)} "$@"; }`;
    const isTalk = `case "$*" in "-q -c qemu:"*) [ $# -eq 3 ] ;; *) false ;; esac`;
    const wait = `if [ "$seconds" = held ]; then while [ -e '${folder}/slow' ]; do sleep 0.05; done; else sleep "$seconds"; fi`;
    const slow = `if read -r seconds what <'${folder}/slow'; then case $line in *"$what"*) ${wait} ;; esac; fi 2>/dev/null`;
    const delay = `while IFS= read -r line; do ${slow}; printf '%s\\n' "$line"; done`;
    // its end is virsh's own end, not that of who listens in
    const listen = `exec 3<&0; mkfifo '${folder}/in.'$$; { tee -a '${log}' <&3 3<&- | ${delay} 3<&- >'${folder}/in.'$$; } >/dev/null 2>&1 &`;
    const talk = `${listen} real "$@" <'${folder}/in.'$$ 3<&-`;
    const script = `#!/bin/sh\n${real}\nprintf '%s\\n' "$*" >>'${log}'\nif ${isTalk}; then ${talk}; else real "$@"; fi\n`;
    await writeFile(path.join(folder, "virsh"), script, { mode: 0o755 });
    return new VirshLog(folder);
  }

  /** From now on virsh finds the sockets of this libvirtd where it looks for the machine's. */
  lookIn(libvirtd: { folder: string }): Promise<void> {
    return symlink(path.join(libvirtd.folder, "run"), path.join(this.folder, "run"));
  }

  /** A program that whoever signs in finds before the machine's own of this name. */
  async putBefore(name: string, script: string): Promise<void> {
    await writeFile(path.join(this.folder, name), script, { mode: 0o755 });
  }

  /** Lets every pivot wait so long before it is sent; 0 ends that. */
  delayPivots(seconds: number): Promise<void> {
    return this.delay("--pivot", seconds);
  }

  /** Lets every command that says this wait so long after it is written down and before it is sent; 0 ends that. */
  async delay(what: string, seconds: number): Promise<void> {
    const file = path.join(this.folder, "slow");
    if (seconds > 0) await writeFile(file, `${seconds} ${what}\n`);
    else await rm(file, { force: true });
  }

  /** Lets every command that says this wait, after it is written down, until {@link release}: what must happen before it is sent has all the time. */
  hold(what: string): Promise<void> {
    return writeFile(path.join(this.folder, "slow"), `held ${what}\n`);
  }

  /** Ends {@link hold} and {@link delay}. */
  release(): Promise<void> {
    return this.delay("", 0);
  }

  /** What is counted from now on. A virsh that is open goes on writing to the same file. */
  async forget(): Promise<void> {
    this.#before.push(...(await this.sent()));
    await writeFile(path.join(this.folder, "virsh.log"), "");
  }

  /** Every command, also those before {@link forget}. */
  async everSent(): Promise<string[]> {
    return [...this.#before, ...(await this.sent())];
  }

  /** How often a virsh was started, and how often one was written to and answered: the provider ends every write with tokens of its own. */
  async count(): Promise<{ sessions: number; roundTrips: number }> {
    const lines = await this.sent();
    const tokens = new Set(lines.filter((line) => /^echo [0-9a-f]{24}$/.test(line)));
    const sessions = lines.filter((line) => line.startsWith("-q -c qemu:")).length;
    return { sessions, roundTrips: tokens.size - sessions }; // the first token of a session only finds its beginning
  }

  /** Every command, one a line. */
  async sent(): Promise<string[]> {
    const text = await readFile(path.join(this.folder, "virsh.log"), "utf8").catch(() => "");
    return text.split("\n").filter((line) => line !== "");
  }
}

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}
