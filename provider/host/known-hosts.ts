/** OpenSSH's known_hosts format. Pure. @see sshd(8), SSH_KNOWN_HOSTS FILE FORMAT */

import { createHash, createHmac } from "node:crypto";

export interface KnownKey {
  /** Line in the file, from 1. */
  line: number;
  marking: "trusted" | "revoked";
  /** `ssh-ed25519`, … */
  type: string;
  key: Buffer;
}

/** The keys that a known_hosts file has for a host. Lines of `@cert-authority` say nothing about plain keys and are left out. */
export function knownKeys(text: string, name: string): KnownKey[] {
  return text.split("\n").flatMap((line, index) => {
    const found = parseLine(line);
    if (found === undefined || !matches(found.hosts, name)) return [];
    return [{ line: index + 1, marking: found.marking, type: found.type, key: found.key }];
  });
}

/** Under which name a host stands in the file. */
export function knownHostName(address: string, port: number): string {
  const host = address.toLowerCase();
  return port === 22 ? host : `[${host}]:${port}`;
}

/** `SHA256:…`, as ssh-keygen prints it. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

/** The type that a public key names itself. @see RFC 4253 section 6.6 */
export function keyType(key: Buffer): string {
  return key.length < 4 ? "" : key.subarray(4, 4 + key.readUInt32BE(0)).toString("latin1");
}

function parseLine(line: string): (Omit<KnownKey, "line"> & { hosts: string }) | undefined {
  const words = line.trim().split(/[ \t]+/);
  if (words[0] === "" || words[0]?.startsWith("#")) return undefined;
  const marker = words[0]?.startsWith("@") ? words.shift() : undefined;
  const [hosts, type, text] = words;
  if (hosts === undefined || type === undefined || text === undefined) return undefined;
  if (marker !== undefined && marker !== "@revoked") return undefined;
  const key = Buffer.from(text, "base64");
  return keyType(key) === type ? { marking: marker === undefined ? "trusted" : "revoked", hosts, type, key } : undefined;
}

function matches(hosts: string, name: string): boolean {
  if (hosts.startsWith("|")) return matchesHash(hosts, name);
  const patterns = hosts.toLowerCase().split(",");
  const fits = (pattern: string) => fitsPattern(pattern, name);
  if (patterns.some((pattern) => pattern.startsWith("!") && fits(pattern.slice(1)))) return false;
  return patterns.some((pattern) => !pattern.startsWith("!") && fits(pattern));
}

/** `|1|salt|hash`: HMAC-SHA1 of the name. @see OpenSSH hostfile.c host_hash */
function matchesHash(hosts: string, name: string): boolean {
  const [, version, salt, hash] = hosts.split("|");
  if (version !== "1" || salt === undefined || hash === undefined) return false;
  return createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest("base64") === hash;
}

/** `*` and `?` against a name; in time that grows with both lengths, whatever stands in the file. */
function fitsPattern(pattern: string, name: string): boolean {
  let [at, from, star, retry] = [0, 0, -1, 0];
  while (from < name.length) {
    if (pattern[at] === "*") {
      star = at++;
      retry = from;
    } else if (pattern[at] === "?" || pattern[at] === name[from]) {
      at++;
      from++;
    } else if (star >= 0) {
      at = star + 1;
      from = ++retry;
    } else return false;
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}
