/** An explicit provider: other credentials than those of the stack's config, or several side by side. */

import * as pulumi from "@pulumi/pulumi";

export interface ProviderArgs {
  /** A private key's text (OpenSSH or PEM). Kept as a secret. */
  privateKey?: pulumi.Input<string | undefined>;
  /** The pass phrase of that key, or of the host's `identityFile`. Kept as a secret. */
  passphrase?: pulumi.Input<string | undefined>;
  /** A password, also for keyboard-interactive sign-in. Kept as a secret. */
  password?: pulumi.Input<string | undefined>;
  /**
   * The hosts, jump hosts too, that may be sent `password`: their addresses, with the port where it is not 22, such as `db-3:2222`.
   * @default none: `password` is sent to no host
   * @throws UserError when a resource is created, read, changed or deleted, if an entry is neither
   */
  passwordFor?: pulumi.Input<pulumi.Input<string>[] | undefined>;
  /**
   * How many moves of one host run side by side, of the resources that name this provider: each provider has a queue of its own.
   * @default 2
   * @throws UserError when a resource is created, read, changed or deleted, if it is not a whole number from 1 on
   */
  movesPerHost?: pulumi.Input<number | undefined>;
}

/**
 * Signs in with these credentials for all resources that name it:
 *
 * ```ts
 * const lab = new Provider("lab", { privateKey: config.requireSecret("labKey") });
 * new DomainDisk("web-root", { host, domain, disk: "vda" }, { provider: lab });
 * ```
 */
export class Provider extends pulumi.ProviderResource {
  constructor(name: string, args: ProviderArgs = {}, opts?: pulumi.ResourceOptions) {
    const { privateKey, passphrase, password, passwordFor, movesPerHost } = args;
    const secrets = { "livedisk:privateKey": privateKey, "livedisk:passphrase": passphrase, "livedisk:password": password };
    const given = Object.entries(secrets).flatMap(([key, value]) => (value === undefined ? [] : [[key, pulumi.secret(value)]]));
    // as the stack's config has lists
    const named = passwordFor === undefined ? {} : { "livedisk:passwordFor": pulumi.output(passwordFor).apply(JSON.stringify) };
    const count = pulumi.output(movesPerHost).apply((moves) => (moves === undefined ? undefined : String(moves)));
    const moves = movesPerHost === undefined ? {} : { "livedisk:movesPerHost": count };
    super("pulumi-nodejs", name, { ...Object.fromEntries(given), ...named, ...moves }, opts);
  }
}
