/**
 * What an account is signed in with, in order: the stack's private key, the identity file, the ssh-agent, the password.
 * A key proves itself and stays here; a password is given away. So it is sent only to hosts that are named for it.
 */

import { readFile } from "node:fs/promises";
import { type AnyAuthMethod, type ParsedKey, utils } from "ssh2";
import type { Credentials } from "../core/credentials.js";
import { messageOf, UserError } from "../core/errors.js";
import { localPath } from "./local-path.js";
import { hostIdentity, hostName, type SignInArgs } from "./target.js";

export interface Attempt {
  /** For messages, without a secret: `the identity file ~/.ssh/deploy`. */
  name: string;
  /** As the server lists it. @see RFC 4252 section 5 */
  method: "publickey" | "password" | "keyboard-interactive";
  /** In ssh2's form. */
  ssh2: AnyAuthMethod;
}

export interface SignIn {
  attempts: readonly Attempt[];
  /** Sentences about what could not be tried. */
  passedOver: readonly string[];
  /** A sentence about the password, where there is one that this host is not sent. */
  withheld?: string;
}

/** @throws UserError if there is nothing to sign in with, or a key that was named cannot be used */
export async function signInOf(target: SignInArgs, credentials: Credentials): Promise<SignIn> {
  const passedOver: string[] = [];
  const attempts = [
    ...keyOf(target, credentials),
    ...(await identityOf(target, credentials, passedOver)),
    ...agentOf(target),
    ...passwordOf(target, credentials),
  ];
  const withheld = withheldFrom(target, credentials);
  if (attempts.length > 0) return { attempts, passedOver, ...(withheld !== undefined && { withheld }) };
  const why = withheld === undefined ? passedOver : [...passedOver, withheld];
  const reason = why.length > 0 ? why.join(" ") : "there is nothing to sign in with.";
  throw new UserError(`Unable to sign in to ${target.user}@${hostName(target)}: ${reason} ${waysToSignIn}`);
}

export const waysToSignIn =
  "Set a key by `pulumi config set --secret livedisk:privateKey` (and `livedisk:passphrase` if it has one), name an `identityFile`, or run an ssh-agent (SSH_AUTH_SOCK).";

function keyOf({ user }: SignInArgs, { privateKey, passphrase }: Credentials): Attempt[] {
  if (privateKey === undefined) return [];
  const key = parse(privateKey, passphrase, "livedisk:privateKey");
  return [{ name: "the key in livedisk:privateKey", method: "publickey", ssh2: { type: "publickey", username: user, key } }];
}

async function identityOf({ user, identityFile }: SignInArgs, credentials: Credentials, passedOver: string[]): Promise<Attempt[]> {
  if (identityFile === undefined) return [];
  const text = await readIdentity(identityFile);
  if (protection(text) === "encrypted" && credentials.passphrase === undefined) {
    // Not yet an error: an agent that holds this very key is the usual reason for having no pass phrase here.
    passedOver.push(`The identity file ${identityFile} is protected by a pass phrase, and livedisk:passphrase is not set.`);
    return [];
  }
  const key = parse(text, credentials.passphrase, `the identity file ${identityFile}`);
  return [{ name: `the identity file ${identityFile}`, method: "publickey", ssh2: { type: "publickey", username: user, key } }];
}

function agentOf({ user }: SignInArgs): Attempt[] {
  const agent = process.env.SSH_AUTH_SOCK;
  if (!agent) return [];
  return [{ name: "the ssh-agent", method: "publickey", ssh2: { type: "agent", username: user, agent } }];
}

function isNamed(target: SignInArgs, { passwordFor = [] }: Credentials): boolean {
  return passwordFor.some((entry) => hostIdentity(namedBy(entry)) === hostIdentity(target));
}

/** `db-3`, `db-3:2222`, `2001:db8::7` or `[2001:db8::7]:2222`: without a port it is sshd's own, as in known_hosts. */
function namedBy(entry: string): { address: string; port: number } {
  const [, bracketed, plain, port = "22"] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(entry) ?? [];
  return { address: bracketed ?? plain ?? entry, port: Number(port) };
}

/** The index is the list's next: the line adds to it, and takes nothing out. */
function withheldFrom(target: SignInArgs, credentials: Credentials): string | undefined {
  const { password, passwordFor } = credentials;
  if (password === undefined || isNamed(target, credentials)) return undefined;
  const name = hostName(target);
  const line = `pulumi config set --path 'livedisk:passwordFor[${passwordFor?.length ?? 0}]' ${/[[\]]/.test(name) ? `'${name}'` : name}`;
  return `livedisk:password is not sent to ${name}, which livedisk:passwordFor does not name: to let that host have it, run \`${line}\`, or add it to its Provider's \`passwordFor\`.`;
}

function passwordOf(target: SignInArgs, credentials: Credentials): Attempt[] {
  const { user } = target;
  const { password } = credentials;
  if (password === undefined || !isNamed(target, credentials)) return [];
  return [
    { name: "livedisk:password", method: "password", ssh2: { type: "password", username: user, password } },
    {
      name: "livedisk:password, asked for interactively",
      method: "keyboard-interactive",
      ssh2: {
        type: "keyboard-interactive",
        username: user,
        // One hidden answer is the password; anything else, a one-time code for example, we do not have.
        prompt: (_name, _instructions, _language, prompts, answer) => answer(prompts.length === 1 && !prompts[0]?.echo ? [password] : []),
      },
    },
  ];
}

async function readIdentity(file: string): Promise<string> {
  try {
    return await readFile(localPath(file), "utf8");
  } catch (cause) {
    throw new UserError(
      `Unable to read the identity file ${file}: ${messageOf(cause)}. Correct \`identityFile\`, or leave it out and use an ssh-agent.`,
      { cause },
    );
  }
}

/** @throws UserError that names the key and holds nothing of it */
function parse(text: string, passphrase: string | undefined, name: string): ParsedKey {
  const encrypted = protection(text) === "encrypted";
  if (encrypted && passphrase === undefined) {
    const advice = "Set it by `pulumi config set --secret livedisk:passphrase`, or load the key into an ssh-agent.";
    throw new UserError(`Unable to use ${name}: it is protected by a pass phrase, and livedisk:passphrase is not set. ${advice}`);
  }
  // Keys in config often lose their last line break, or are pasted with blanks around them.
  const found: ParsedKey | ParsedKey[] | Error = utils.parseKey(`${text.trim()}\n`, passphrase);
  const key = Array.isArray(found) ? found[0] : found;
  if (key !== undefined && !(key instanceof Error) && key.isPrivateKey()) return key;
  if (encrypted) throw new UserError(`Unable to use ${name}: livedisk:passphrase does not open it. Set the right pass phrase.`);
  throw new UserError(
    `Unable to use ${name}: it is no private key in OpenSSH or PEM format. Give the private half; \`ssh-keygen -p -f FILE\` rewrites other formats.`,
  );
}

/** Whether a key's text is encrypted. @see OpenSSH PROTOCOL.key; RFC 1421 section 4.6.1.1 for PEM */
function protection(text: string): "encrypted" | "plain" {
  if (/ENCRYPTED|^Encryption: (?!none)/m.test(text)) return "encrypted";
  const body = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]*?)-----END/.exec(text)?.[1];
  if (body === undefined) return "plain";
  const bytes = Buffer.from(body, "base64");
  const magicBytes = "openssh-key-v1\0".length;
  const cipherBytes = bytes.length < magicBytes + 4 ? 0 : bytes.readUInt32BE(magicBytes);
  return bytes.toString("latin1", magicBytes + 4, magicBytes + 4 + cipherBytes) === "none" ? "plain" : "encrypted";
}
