/** What signs in to hosts. */

/** Secrets for signing in. They are never resource arguments, never in state, never in a message. */
export interface Credentials {
  /** A private key's text (OpenSSH or PEM). */
  privateKey?: string;
  /** The pass phrase of `privateKey` or of the host's `identityFile`. */
  passphrase?: string;
  password?: string;
  /** No secret: the hosts, jump hosts too, that `password` may be sent to, each as messages name the host; any other host is not sent it. */
  passwordFor?: readonly string[];
}
