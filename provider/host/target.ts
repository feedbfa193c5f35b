/** The `host` argument: where a host is, how it is recognised and who signs in. */

import { z } from "zod";
import { absolutePath } from "../core/disk/paths.js";

/** Given here, `hostKey` is compared; otherwise the key is looked up. Both at once would be two answers to one question. */
const oneHostKey = {
  error:
    "host: give either `hostKey` or `knownHostsFile`, not both. `hostKey` alone is enough; without either, ~/.ssh/known_hosts is used.",
};

const keys = {
  /**
   * Name or IP address of the host, as this machine can reach it (or as the jump host can, where there is one).
   * It does not go through ~/.ssh/config: aliases of that file are not known here.
   * @throws UserError if empty, or if it holds a blank, a slash or an `@`
   */
  address: z
    .string({ error: 'host.address is missing: give the name or IP address of the host, such as "db-3.example.org".' })
    .regex(/^[^\s/@[\]]+$/, {
      error: "host.address is a bare name or IP address: without user@, without [ ], and with the port in host.port.",
    }),

  /**
   * TCP port of the host's sshd, 1 to 65535.
   * @default 22
   * @throws UserError if not a whole number in that range
   */
  port: z.int({ error: portError }).min(1, { error: portError }).max(65_535, { error: portError }).default(22),

  /**
   * The account to sign in as. It needs access to the guest's monitor and to the images, or `privilege: "sudo"`.
   * @throws UserError if empty
   */
  user: z
    .string({ error: "host.user is missing: give the account to sign in as." })
    .min(1, { error: "host.user is empty: give the account to sign in as." }),

  /**
   * Path, on the machine that runs Pulumi, of a private key (OpenSSH or PEM); a leading `~/` is the home directory.
   * The path is kept in the state, the key never. Its pass phrase comes from `livedisk:passphrase`. Without it: `livedisk:privateKey`, the ssh-agent,
   * or `livedisk:password` where `livedisk:passwordFor` names the host.
   * @default none: one of those three
   * @throws UserError if empty; when connecting, if it cannot be read
   */
  identityFile: z
    .string({ error: "host.identityFile is the path of a private key." })
    .min(1, { error: "host.identityFile is empty: give the path of a private key, or leave the argument out." })
    .optional(),

  /**
   * Fingerprint of the host's key, as `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints it on the host. Excludes `knownHostsFile`.
   * @default none: the key is looked up in `knownHostsFile`
   * @throws UserError if it is no SHA256 fingerprint; when connecting, if the host shows another key
   * @see RFC 4253 section 8, ssh-keygen(1) `-l`
   */
  hostKey: z
    .string({ error: hostKeyError })
    .regex(/^SHA256:[A-Za-z0-9+/]{43}=?$/, { error: hostKeyError })
    .optional(),

  /**
   * Path, on the machine that runs Pulumi, of a file in OpenSSH's known_hosts format; a leading `~/` is the home directory. Excludes `hostKey`.
   * Never written to. There is no way to accept any key.
   * @default "~/.ssh/known_hosts", where `hostKey` is not given
   * @throws UserError when connecting, if the host's key is not in it, or another one is
   * @see sshd(8), SSH_KNOWN_HOSTS FILE FORMAT
   */
  knownHostsFile: z
    .string({ error: "host.knownHostsFile is the path of a known_hosts file." })
    .min(1, { error: "host.knownHostsFile is empty: give a path, or leave the argument out." })
    .optional(),
};

const jumpArgs = z.strictObject(keys, { error: (issue) => unknownArgument("host.jump", issue) }).refine(hasOneHostKey, oneHostKey);

export const hostArgs = z
  .strictObject(
    {
      ...keys,

      /**
       * A host through which this one is reached; its key is checked in the same way. One jump only: a jump host has no `jump` of its own.
       * The same credentials sign in to both; only `identityFile` and `user` may differ.
       * @default none: the host is reached directly
       * @throws UserError for what is refused of the host itself, and for a `jump` or `privilege` of its own
       * @see ssh(1) `-J`
       */
      jump: jumpArgs.optional(),

      /**
       * `user`: everything is done as the account that signs in. `sudo`: as root, by `sudo -n sh`, also the way to the monitor's socket.
       * sudo must not ask for a password: `deploy ALL=(root) NOPASSWD: ALL` in /etc/sudoers.d.
       * @default "user"
       * @throws UserError when connecting, if sudo refuses
       */
      privilege: z.enum(["user", "sudo"], { error: 'host.privilege is "user" or "sudo".' }).default("user"),

      /**
       * Absolute path, on the host, of a directory of the account's own (mode 0700): lock and manifest of a disk lie in it while the disk's own
       * directory has no room for them. All programs that move disks of this host must name the same one.
       * It is made where the account is root; for another account, create it once: `install -d -m 0700 -o deploy /var/lib/pulumi-livedisk`.
       * @default "/var/lib/pulumi-livedisk"
       * @throws UserError if it is no absolute path; when it is needed, if it cannot be made, or others may use it
       */
      stateDirectory: absolutePath("host.stateDirectory").optional(),
    },
    { error: (issue) => unknownArgument("host", issue) },
  )
  .refine(hasOneHostKey, oneHostKey);

export type HostArgs = z.output<typeof hostArgs>;

/** A host to sign in to: the target itself or its jump host. */
export type SignInArgs = Omit<HostArgs, "jump" | "privilege" | "stateDirectory">;

/** For messages: `db-3`, or `db-3:2222`. */
export function hostName({ address, port }: Pick<HostArgs, "address" | "port">): string {
  if (port === 22) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Which host it is, however it is reached: two targets with the same text are the same host. */
export function hostIdentity({ address, port }: Pick<HostArgs, "address" | "port">): string {
  return `${address.toLowerCase()}:${port}`;
}

function hasOneHostKey({ hostKey, knownHostsFile }: { hostKey?: string | undefined; knownHostsFile?: string | undefined }): boolean {
  return hostKey === undefined || knownHostsFile === undefined;
}

function portError(): string {
  return "host.port is a whole number from 1 to 65535.";
}

function hostKeyError(): string {
  return 'host.hostKey is a fingerprint such as "SHA256:…" (43 characters after the colon), as `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints it on the host.';
}

function unknownArgument(place: string, issue: { code?: string | undefined; keys?: unknown }): string {
  if (issue.code !== "unrecognized_keys" || !Array.isArray(issue.keys)) return `${place} is an object: { address, user, … }.`;
  const secret = issue.keys.some((key) => /private.?key|pass/i.test(String(key)));
  const where = secret
    ? " Secrets are no resource arguments: use `pulumi config set --secret livedisk:privateKey` (passphrase, password)."
    : "";
  return `${place} has no argument ${issue.keys.map((key) => `\`${key}\``).join(", ")}.${where}`;
}
