/**
 * A real libvirtd and virtlogd (qemu:///system) with folders of their own: in a mount namespace in which the sandbox's folders lie over
 * /etc/libvirt, /var/lib/libvirt, /run/libvirt and the like. Nothing of the machine's own libvirt is read or changed; its guests run in
 * this machine's own process and network namespaces. With Debian trixie's QEMU (qemu.ts) the daemons and virsh are trixie's, too. Needs root.
 */

import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { appendFile, chmod, copyFile, mkdir, open, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { run, until } from "./command.js";
import { cacheFolder } from "./kernel.js";
import { atExit, killQuietly, watchOverPid } from "./processes.js";
import { chosenRelease, libvirtCommand, libvirtFolder } from "./qemu.js";
import type { Sandbox } from "./sandbox.js";

/** In the namespace: this folder of the sandbox's lies over that one of the machine's. */
const places: Readonly<Record<string, string>> = {
  etc: "/etc/libvirt",
  lib: "/var/lib/libvirt",
  run: "/run/libvirt",
  log: "/var/log/libvirt",
};

/** What libvirtd found out about this machine's QEMU: it takes long, is checked by libvirtd itself, and may be kept between runs. */
const keptCache = () => path.join(cacheFolder, chosenRelease() === "host" ? "libvirt" : "libvirt-trixie");

/** Which daemon answers for QEMU, and the socket by which a client finds it. */
const sockets = { libvirtd: "libvirt-sock", virtqemud: "virtqemud-sock" } as const;

export type Daemon = keyof typeof sockets;

/**
 * Where there is no virtqemud, which Debian does not have, libvirtd itself is given a socket of that name, as systemd gives one (sd_listen_fds(3)): it listens
 * on no other then.
 */
const listen = `import os, socket, sys
own = socket.socket(socket.AF_UNIX)
own.bind(sys.argv[1])
own.listen()
os.dup2(own.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="libvirtd.socket")
os.execvp(sys.argv[2], sys.argv[2:])`;

/** `$1` is the folder, `$2` the kept cache, `$3` the daemon, `$4` the program above. Ends by becoming the daemon. The mount points alone are made on the machine, where it has none yet. */
const start = `set -e
folder=$1; daemon=$3; listen=$4; mkdir -p /var/cache/libvirt; mount --bind "$2" /var/cache/libvirt; shift 4
while [ $# -gt 1 ]; do mkdir -p "$2"; mount --bind "$folder/$1" "$2"; shift 2; done
# where only root may use KVM, libvirtd asks QEMU what it can do again at every question (virQEMUCapsIsValid(), 9.0)
if [ -c /dev/kvm ]; then
  [ -c "$folder/kvm" ] || mknod -m 666 "$folder/kvm" c $(stat -c '0x%t 0x%T' /dev/kvm)
  mount --bind "$folder/kvm" /dev/kvm
fi
# the one that guests write their logs through goes on when libvirtd alone was killed
[ -d "/proc/$(cat "$folder/virtlogd.pid" 2>/dev/null)/fd" ] || virtlogd --daemon --config "$folder/virtlogd.conf" --pid-file "$folder/virtlogd.pid"
set -- --config "$folder/libvirtd.conf" --pid-file "$folder/libvirtd.pid"
rm -f "$folder/run/virtqemud-sock"
if [ "$daemon" = libvirtd ] || command -v virtqemud >/dev/null; then exec "$daemon" "$@"; fi
exec python3 -c "$listen" "$folder/run/virtqemud-sock" libvirtd "$@"`;

export interface LibvirtdOptions {
  /** Lines for the end of qemu.conf. */
  qemuConf?: string;
}

export class Libvirtd {
  #forget: (() => void)[] = [];
  #daemon: Daemon = "libvirtd";
  /** Names of domains, one for each time that the tests have killed its QEMU. */
  readonly #killed: string[] = [];

  private constructor(readonly folder: string) {}

  /** Starts it in the sandbox, which ends it. Guests that are still there are destroyed then. */
  static async start(sandbox: Sandbox, { qemuConf = "" }: LibvirtdOptions = {}): Promise<Libvirtd> {
    if (process.getuid?.() !== 0) throw new Error("A libvirtd of the tests' own (qemu:///system) needs root.");
    const libvirtd = new Libvirtd(path.join(sandbox.folder, "libvirt"));
    await libvirtd.#makeFolders(sandbox.folder);
    await appendFile(path.join(libvirtd.folder, "etc/qemu.conf"), `\n${qemuConf}\n`);
    sandbox.defer(atExit(() => libvirtd.#killGuests()));
    sandbox.defer(() => libvirtd.#end());
    await libvirtd.launch();
    return libvirtd;
  }

  /** What a program's `domain.uri` is. */
  get uri(): string {
    return `qemu:///system?socket=${path.join(this.folder, "run", sockets[this.#daemon])}`;
  }

  /** Starts the daemons: at first, and after {@link stop} or {@link kill}. */
  async launch(daemon: Daemon = "libvirtd"): Promise<void> {
    this.#daemon = daemon;
    const log = await open(path.join(this.folder, "start.log"), "a");
    const args = Object.entries(places).flat();
    const [program = "", ...before] = libvirtCommand();
    const child = spawn(program, [...before, "sh", "-c", start, "sh", this.folder, keptCache(), daemon, listen, ...args], {
      stdio: ["ignore", log.fd, log.fd],
      detached: true,
    });
    child.unref();
    await log.close();
    await until(
      30,
      () => this.virsh("list", "--all").catch(() => undefined),
      () => `libvirtd did not come up; see ${this.folder}/start.log and libvirtd.log.`,
    );
    this.#forget = (await this.#pids()).map((pid) => watchOverPid(pid, "a libvirt daemon"));
  }

  /** Runs virsh by another road than the provider's. @returns what it said */
  virsh(...args: readonly string[]): Promise<string> {
    return run("virsh", ["-q", "-c", this.uri, ...args]);
  }

  /** The file that the definition (`--inactive`) or the running domain names for a disk. */
  async sourceOf(domain: string, disk: string, which: "live" | "inactive"): Promise<string | undefined> {
    const list = await this.virsh("domblklist", domain, ...(which === "inactive" ? ["--inactive"] : []));
    const line = list.split("\n").find((each) => each.trim().split(/\s+/)[0] === disk);
    return line?.trim().split(/\s+/).slice(1).join(" ");
  }

  async #makeFolders(sandboxFolder: string): Promise<void> {
    for (const part of ["", ...Object.keys(places), "etc/qemu", "run/common"])
      await mkdir(path.join(this.folder, part), { recursive: true });
    // QEMU runs as libvirt's own user, and must find its images
    for (const folder of [sandboxFolder, this.folder]) await chmod(folder, 0o755);
    const settingsOf = libvirtFolder("/etc/libvirt");
    for (const file of await readdir(settingsOf, { withFileTypes: true })) {
      if (file.isFile()) await copyFile(path.join(settingsOf, file.name), path.join(this.folder, "etc", file.name));
    }
    await mkdir(keptCache(), { recursive: true });
    await writeFile(path.join(this.folder, "virtlogd.conf"), "");
    const settings = [
      `unix_sock_dir = "${path.join(this.folder, "run")}"`,
      'auth_unix_ro = "none"',
      'auth_unix_rw = "none"',
      `log_outputs = "2:file:${path.join(this.folder, "libvirtd.log")}"`,
    ];
    await writeFile(path.join(this.folder, "libvirtd.conf"), `${settings.join("\n")}\n`);
  }

  async #pids(): Promise<number[]> {
    const files = ["libvirtd.pid", "virtlogd.pid"].map((name) => path.join(this.folder, name));
    const texts = await Promise.all(files.map((file) => readFile(file, "utf8").catch(() => "")));
    return texts.map(Number).filter((pid) => pid > 0);
  }

  /** Ends the daemons; guests go on. */
  async stop(): Promise<void> {
    const pids = (await this.#pids()).filter((pid) => existsSync(`/proc/${pid}/exe`));
    for (const pid of pids) process.kill(pid, "SIGTERM");
    const gone = () => (pids.some((pid) => existsSync(`/proc/${pid}/exe`)) ? undefined : true);
    await until(60, gone, () => `A libvirt daemon did not end: ${pids.join(", ")}.`);
    for (const forget of this.#forget.splice(0)) forget(); // their numbers may be somebody else's from now on
  }

  /**
   * Ends libvirtd itself; guests and their log daemon go on. {@link launch} starts it again.
   * @param signal by SIGKILL as a crash would, its socket stays; SIGTERM: it takes its socket away
   */
  async kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    const pid = Number(await readFile(path.join(this.folder, "libvirtd.pid"), "utf8"));
    process.kill(pid, signal);
    const gone = () => (existsSync(`/proc/${pid}/exe`) ? undefined : true);
    await until(60, gone, () => `libvirtd ${pid} did not end.`);
    for (const forget of this.#forget.splice(0)) forget();
  }

  /** The process id of a guest's QEMU, by libvirtd's own note. */
  async pidOf(domain: string): Promise<number> {
    return Number(await readFile(path.join(this.folder, "run/qemu", `${domain}.pid`), "utf8"));
  }

  /** Kills a guest's QEMU while no libvirtd is there to see it, and waits for its end. */
  async killGuestUnseen(domain: string): Promise<void> {
    const pid = await this.killGuestSoon(domain);
    const gone = () => (existsSync(`/proc/${pid}/exe`) ? undefined : true);
    await until(30, gone, () => `QEMU ${pid} did not end.`);
  }

  /** Lets a guest's QEMU do no more than the calls in which the kernel keeps it. @returns its process id */
  async killGuestSoon(domain: string): Promise<number> {
    this.#killed.push(domain);
    const pid = await this.pidOf(domain);
    process.kill(pid, "SIGKILL");
    return pid;
  }

  /** How often a guest's QEMU has ended by itself, by libvirt's own log: neither destroyed nor killed by the tests. */
  async crashesOf(domain: string): Promise<number> {
    const log = await readFile(path.join(this.folder, "log/qemu", `${domain}.log`), "utf8");
    return (log.match(/reason=crashed$/gm) ?? []).length - this.#killed.filter((name) => name === domain).length;
  }

  /** Kills a guest's QEMU, as a crash would, and waits until libvirtd has seen it. */
  async killGuest(domain: string): Promise<void> {
    this.#killed.push(domain);
    process.kill(await this.pidOf(domain), "SIGKILL");
    const seen = async () => ((await this.virsh("domstate", domain)).trim() === "shut off" ? true : undefined);
    await until(30, seen, () => `libvirtd does not see that ${domain} has ended.`);
  }

  /** Those that the daemons would leave running. A number that means another process by now is left alone. */
  #killGuests(): void {
    const folder = path.join(this.folder, "run/qemu");
    for (const file of existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".pid")) : []) {
      try {
        const pid = Number(readFileSync(path.join(folder, file), "utf8"));
        if (readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(path.dirname(this.folder))) killQuietly(pid);
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  async #end(): Promise<void> {
    const running = (await this.virsh("list", "--uuid").catch(() => "")).split("\n").filter((line) => line.trim() !== "");
    for (const uuid of running) await this.virsh("destroy", uuid.trim()).catch(() => undefined);
    await this.stop();
  }
}
