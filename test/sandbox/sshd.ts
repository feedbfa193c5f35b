/** A real sshd on loopback, with keys and a configuration of its own; nothing of the machine's own sshd or of ~/.ssh is read or changed. */

import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { run } from "./command.js";
import { findProgram } from "./install.js";
import { descendants, mourn, watchOver } from "./processes.js";

export interface SshdOptions {
  /** An existing folder of its own. Keys that are already in it are used again, so that a server can come back. */
  folder: string;
  /** @default a free one */
  port?: number;
  /** @default ["ed25519"] */
  hostKeyTypes?: readonly ("ed25519" | "ecdsa" | "rsa")[];
  /** sshd_config keywords that win over ours: `{ MaxSessions: "2", AllowStreamLocalForwarding: "no", ForceCommand: "…" }`. */
  settings?: Readonly<Record<string, string>>;
  /** Another user of the machine who may sign in instead; root starts the server then. */
  user?: string;
  /** A program with arguments that ends by running what follows them in its own place: stands before the server's command line. */
  through?: readonly string[];
}

export interface Sshd {
  port: number;
  /** Who may sign in: unless the options say otherwise, the user that runs the tests. */
  user: string;
  identityFile: string;
  /** Another key that may sign in; protected by {@link passphrase}. */
  encryptedIdentityFile: string;
  passphrase: string;
  /** `SHA256:…` of the first host key. */
  hostKeyFingerprint: string;
  /** Knows every host key of this server under its loopback addresses. */
  knownHostsFile: string;
  folder: string;
  logFile: string;
  pid: number;
  /** The sshd processes that serve connections, not what they run. */
  sessionPids(): Promise<number[]>;
  /** What it runs for its connections: all of ours on the host. */
  servedPids(): Promise<number[]>;
  /** How many there are: sshd has one or two processes for each. */
  connections(): Promise<number>;
  /** Ends the server, its connections and what they run. */
  stop(): Promise<void>;
}

export async function startSshd(options: SshdOptions): Promise<Sshd> {
  const sshd = findProgram("sshd"); // by its absolute path: it starts itself again for every connection
  if (sshd === undefined) throw new Error("Unable to start an sshd: the program is not installed. Install the package openssh-server.");
  if (process.getuid?.() === 0) await mkdir("/run/sshd", { recursive: true, mode: 0o755 });
  const keys = await makeKeys(options);
  const port = options.port ?? (await freePort());
  const knownHostsFile = await writeKnownHosts(options.folder, port, keys.hostKeys);
  const configuration = join(options.folder, "sshd_config");
  await writeFile(configuration, sshdConfiguration(options, port, keys.hostKeys));
  const logFile = join(options.folder, "sshd.log");
  const log = await open(logFile, "a");
  const [program = sshd, ...args] = [...(options.through ?? []), sshd, "-D", "-e", "-f", configuration];
  const server = watchOver(spawn(program, args, { stdio: ["ignore", log.fd, log.fd] }), `sshd on port ${port}`);
  await log.close();
  await waitUntilListening(server, port, logFile);
  const pid = server.pid ?? 0;
  return {
    port,
    user: options.user ?? userInfo().username,
    identityFile: keys.identityFile,
    encryptedIdentityFile: keys.encryptedIdentityFile,
    passphrase,
    hostKeyFingerprint: await fingerprint(keys.hostKeys[0] ?? ""),
    knownHostsFile,
    folder: options.folder,
    logFile,
    pid,
    sessionPids: async () => (await descendants(pid)).filter((process) => process.command.startsWith("sshd")).map((process) => process.pid),
    servedPids: async () => (await descendants(pid)).filter((process) => !process.command.startsWith("sshd")).map((process) => process.pid),
    connections: async () => (await descendants(pid)).filter((process) => process.parent === pid).length,
    stop: () => stop(server),
  };
}

const passphrase = "a pass phrase, not a secret";

async function makeKeys({ folder, hostKeyTypes = ["ed25519"] }: SshdOptions) {
  const hostKeys = hostKeyTypes.map((type) => join(folder, `host_${type}`));
  for (const [index, file] of hostKeys.entries()) await makeKey(file, hostKeyTypes[index] ?? "ed25519", "");
  const identityFile = join(folder, "identity");
  const encryptedIdentityFile = join(folder, "identity_encrypted");
  await identityKey(identityFile, "");
  await identityKey(encryptedIdentityFile, passphrase);
  const authorized = [await readFile(`${identityFile}.pub`, "utf8"), await readFile(`${encryptedIdentityFile}.pub`, "utf8")];
  await writeFile(join(folder, "authorized_keys"), authorized.join(""), { mode: 0o600 });
  return { hostKeys, identityFile, encryptedIdentityFile };
}

async function makeKey(file: string, type: string, phrase: string): Promise<void> {
  const existing = await readFile(file).catch(() => undefined);
  if (existing === undefined) await run("ssh-keygen", ["-q", "-a", "1", "-t", type, "-N", phrase, "-C", "livedisk-test", "-f", file]);
}

/** By pass phrase. One pair serves all servers of this process: making one takes as long as starting a server. Host keys are each server's own. */
const identities = new Map<string, { secret: string; shown: string }>();

async function identityKey(file: string, phrase: string): Promise<void> {
  const made = identities.get(phrase);
  const existing = await readFile(file).catch(() => undefined);
  if (existing !== undefined) return;
  if (made === undefined) {
    await makeKey(file, "ed25519", phrase);
    identities.set(phrase, { secret: await readFile(file, "utf8"), shown: await readFile(`${file}.pub`, "utf8") });
    return;
  }
  await writeFile(file, made.secret, { mode: 0o600 });
  await writeFile(`${file}.pub`, made.shown);
}

/** As `ssh-keygen -l -E sha256` writes it: of the key's bytes in base64, without the padding. */
async function fingerprint(file: string): Promise<string> {
  const [, key = ""] = (await readFile(`${file}.pub`, "utf8")).split(" ");
  return `SHA256:${createHash("sha256").update(Buffer.from(key, "base64")).digest("base64").replace(/=+$/, "")}`;
}

async function writeKnownHosts(folder: string, port: number, hostKeys: readonly string[]): Promise<string> {
  const file = join(folder, "known_hosts");
  const lines = await Promise.all(
    hostKeys.map(async (key) => `[127.0.0.1]:${port},[localhost]:${port} ${await readFile(`${key}.pub`, "utf8")}`),
  );
  await writeFile(file, lines.join(""));
  return file;
}

function sshdConfiguration({ folder, settings: asked = {} }: SshdOptions, port: number, hostKeys: readonly string[]): string {
  // What the account's ~/.bashrc does at each login, half a second long with some tools, is no test's matter: bash reads it for sshd at
  // the outermost level only (SHLVL, run_startup_files() in shell.c).
  const settings = { ...asked, SetEnv: `SHLVL=1 ${asked.SetEnv ?? ""}` };
  const own = Object.entries(settings).map(([keyword, value]) => `${keyword} ${value}`);
  // The first value of a keyword wins, so the test's own come first; `Match` and the like have no place here.
  const ours = [
    `Port ${port}`,
    "ListenAddress 127.0.0.1",
    ...hostKeys.map((key) => `HostKey ${key}`),
    `AuthorizedKeysFile ${join(folder, "authorized_keys")}`,
    "AuthenticationMethods any",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin yes",
    "StrictModes no",
    "UsePAM no",
    "PidFile none",
    "UseDNS no",
    "PrintMotd no",
    "MaxStartups 100:30:200",
    "LogLevel VERBOSE",
  ];
  return `${[...own, ...ours].join("\n")}\n`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("Unable to find a free port: the system named none.");
  return address.port;
}

async function waitUntilListening(server: ChildProcess, port: number, logFile: string): Promise<void> {
  for (const deadline = Date.now() + 10_000; ; await pause(20)) {
    if (server.exitCode !== null || Date.now() > deadline) {
      server.kill("SIGKILL");
      throw new Error(`Unable to start an sshd on port ${port}: ${await readFile(logFile, "utf8")}`);
    }
    if ((await answers(port)) === "yes") return;
  }
}

function answers(port: number): Promise<"yes" | "no"> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    // sshd's greeting, not the mere connection: the port may be somebody else's.
    socket.once("data", (text) => finish(text.toString().startsWith("SSH-") ? "yes" : "no"));
    socket.once("error", () => finish("no")).setTimeout(1_000, () => finish("no"));
    function finish(answer: "yes" | "no"): void {
      socket.destroy();
      resolve(answer);
    }
  });
}

async function stop(server: ChildProcess): Promise<void> {
  const pid = server.pid ?? 0;
  const below = await descendants(pid);
  await mourn(server, "SIGTERM");
  for (const { pid: child } of below) signal(child, "SIGKILL");
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (thrown) {
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "ESRCH")) throw thrown;
  }
}
