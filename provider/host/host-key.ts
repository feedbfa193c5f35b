/** Whether a host is the one that was meant. */

import { readFile } from "node:fs/promises";
import type { ServerHostKeyAlgorithm } from "ssh2";
import { messageOf, UserError } from "../core/errors.js";
import { fingerprintOf, type KnownKey, keyType, knownHostName, knownKeys } from "./known-hosts.js";
import { localPath } from "./local-path.js";
import { hostName, type SignInArgs } from "./target.js";

export interface HostKeyCheck {
  /** What to ask the server for, the key types that we know first: a server has several keys and shows one. Undefined: no preference. */
  algorithms: ServerHostKeyAlgorithm[] | undefined;
  /** Why this key is refused, or undefined if it is the right one. */
  refusal(key: Buffer): UserError | undefined;
}

/** @throws UserError if the known_hosts file is there and cannot be read */
export async function hostKeyCheck(target: SignInArgs): Promise<HostKeyCheck> {
  const { hostKey } = target;
  if (hostKey !== undefined) return { algorithms: undefined, refusal: (key) => comparePinned(target, hostKey, key) };
  const file = target.knownHostsFile ?? "~/.ssh/known_hosts";
  const text = await readKnownHosts(target, file);
  const known = knownKeys(text, knownHostName(target.address, target.port));
  // A key that is known without the port is trusted too, as ssh does (sshconnect.c check_host_key).
  const elsewhere = target.port === 22 ? [] : knownKeys(text, knownHostName(target.address, 22));
  const preferred = [...known, ...elsewhere].filter(({ marking }) => marking === "trusted").map(({ type }) => type);
  return { algorithms: algorithmsFor(preferred), refusal: (key) => compareKnown({ target, file, known, elsewhere }, key) };
}

async function readKnownHosts(target: SignInArgs, file: string): Promise<string> {
  try {
    return await readFile(localPath(file), "utf8");
  } catch (cause) {
    // No file is an empty file: the refusal that follows shows the fingerprint and says what to do.
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return "";
    const advice = "Make it readable, or give the fingerprint as `hostKey`.";
    throw new UserError(`Unable to check the host key of ${hostName(target)}: ${file} cannot be read (${messageOf(cause)}). ${advice}`, {
      cause,
    });
  }
}

const offered: readonly ServerHostKeyAlgorithm[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
];

/** All that we accept, the known ones in front: a host with none of these then shows its key, which says more than "no matching algorithm". */
function algorithmsFor(types: readonly string[]): ServerHostKeyAlgorithm[] {
  const isKnown = (algorithm: string) => types.includes(algorithm.startsWith("rsa-sha2-") ? "ssh-rsa" : algorithm);
  return [...offered.filter(isKnown), ...offered.filter((algorithm) => !isKnown(algorithm))];
}

function comparePinned(target: SignInArgs, pinned: string, key: Buffer): UserError | undefined {
  const shown = fingerprintOf(key);
  if (shown === pinned.replace(/=$/, "")) return undefined;
  return new UserError(
    `Unable to trust ${hostName(target)}: it shows the ${keyType(key)} host key ${shown}, but \`hostKey\` is ${pinned}. ` +
      `Somebody may stand in between, or the host has new keys: compare with \`${keygenOn(key)}\` on the host itself and change \`hostKey\` only if it is the same.`,
  );
}

interface Known {
  target: SignInArgs;
  file: string;
  known: readonly KnownKey[];
  elsewhere: readonly KnownKey[];
}

function compareKnown({ target, file, known, elsewhere }: Known, key: Buffer): UserError | undefined {
  const all = [...known, ...elsewhere];
  const same = all.filter((one) => one.key.equals(key));
  const revoked = same.find(({ marking }) => marking === "revoked");
  const shown = `the ${keyType(key)} host key ${fingerprintOf(key)}`;
  if (revoked) {
    return new UserError(
      `Unable to trust ${hostName(target)}: it shows ${shown}, which line ${revoked.line} of ${file} marks as revoked. Give the host a new key.`,
    );
  }
  if (same.length > 0) return undefined;
  const others = known.filter(({ marking }) => marking === "trusted");
  return others.length > 0 ? changedKey(target, file, { shown, key, others }) : unknownKey(target, file, { shown, key });
}

function changedKey(target: SignInArgs, file: string, { shown, key, others }: { shown: string; key: Buffer; others: readonly KnownKey[] }) {
  const expected = others.map((one) => `${fingerprintOf(one.key)} (${one.type}, line ${one.line})`).join(", ");
  const name = knownHostName(target.address, target.port);
  return new UserError(
    `Unable to trust ${hostName(target)}: it shows ${shown}, but ${file} has ${expected}. ` +
      `Somebody may stand in between, or the host has new keys: compare with \`${keygenOn(key)}\` on the host itself. ` +
      `Only if it is the same: \`ssh-keygen -R '${name}' -f ${file}\`, then add the line \`${knownLine(name, key)}\`.`,
  );
}

function unknownKey(target: SignInArgs, file: string, { shown, key }: { shown: string; key: Buffer }) {
  const name = knownHostName(target.address, target.port);
  return new UserError(
    `Unable to trust ${hostName(target)}: it shows ${shown}, and ${file} has no key for ${name}. ` +
      `Compare with \`${keygenOn(key)}\` on the host itself; if it is the same, set \`hostKey: "${fingerprintOf(key)}"\` or add this line to ${file}: \`${knownLine(name, key)}\`.`,
  );
}

function knownLine(name: string, key: Buffer): string {
  return `${name} ${keyType(key)} ${key.toString("base64")}`;
}

function keygenOn(key: Buffer): string {
  const kind = /ed25519|ecdsa|rsa/.exec(keyType(key))?.[0] ?? "*";
  return `ssh-keygen -lf /etc/ssh/ssh_host_${kind}_key.pub`;
}
