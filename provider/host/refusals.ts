/** Why no connection came about, in sentences. */

import { messageOf, UnreachableError, UserError } from "../core/errors.js";
import { type SignIn, waysToSignIn } from "./credentials.js";
import { hostName, type SignInArgs } from "./target.js";

export interface Attempted {
  target: SignInArgs;
  signIn: SignIn;
  /** Names of what was tried, in order. */
  tried: readonly string[];
  /** What the server would accept, as far as it said. */
  accepted: readonly string[];
  /** What the agent or a key said that did not work. */
  notes: readonly string[];
}

/** From ssh2's error to one of ours: `level` says where it broke (ssh2 lib/client.js). */
export function connectionRefused(cause: unknown, attempted: Attempted): Error {
  const name = hostName(attempted.target);
  switch (levelOf(cause)) {
    case "client-authentication":
      return signInRefused(cause, attempted);
    case "client-socket":
      return new UnreachableError(
        `Unable to reach ${name}: ${networkWords(cause)}. Check \`host.address\`, \`host.port\` and the network.`,
        {
          cause,
        },
      );
    case "handshake":
      return new UserError(
        `Unable to agree with ${name} on how to talk SSH: ${messageOf(cause)}. Use a current sshd with its default algorithms.`,
        {
          cause,
        },
      );
    default:
      return attempted.tried.length > 0 ? brokenOff(cause, attempted) : noSsh(cause, name);
  }
}

/** Before sign-in: something is there that does not answer as an sshd does. */
function noSsh(cause: unknown, name: string): Error {
  const advice = "Check that an sshd listens there, and its MaxStartups if many connect at once.";
  return new UnreachableError(`Unable to connect to ${name}: ${messageOf(cause)}. ${advice}`, { cause });
}

/** sshd ends the connection after MaxAuthTries keys, by a disconnect and not by a refusal. */
function brokenOff(cause: unknown, attempted: Attempted): Error {
  const advice =
    "An agent with many keys can use up the server's MaxAuthTries: name the one key as `identityFile`, or set livedisk:privateKey.";
  return new UserError(
    `Unable to sign in to ${account(attempted)}: after trying ${attempted.tried.join(", ")} the host ended the connection: ${messageOf(cause)}. ${advice}`,
    { cause },
  );
}

function signInRefused(cause: unknown, attempted: Attempted): Error {
  const tried = attempted.tried.length > 0 ? `it refused ${attempted.tried.join(", ")}` : "nothing that we have is accepted";
  const accepted = attempted.accepted.length > 0 ? ` (it accepts ${attempted.accepted.join(", ")})` : "";
  const { passedOver, withheld } = attempted.signIn;
  const takesPasswords = attempted.accepted.some((method) => method === "password" || method === "keyboard-interactive");
  const missed = withheld !== undefined && takesPasswords ? [withheld] : [];
  const notes = [...attempted.notes.map((note) => `${note}.`), ...passedOver, ...missed].join(" ");
  return new UserError(
    `Unable to sign in to ${account(attempted)}: ${tried}${accepted}. ${notes === "" ? "" : `${notes} `}` +
      `Check \`host.user\` and that the public key is in its authorized_keys. ${waysToSignIn}`,
    { cause },
  );
}

function account({ target }: Attempted): string {
  return `${target.user}@${hostName(target)}`;
}

export function levelOf(thrown: unknown): string {
  return thrown instanceof Error && "level" in thrown ? String(thrown.level) : "";
}

const networkSentences: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there (connection refused)",
  ENOTFOUND: "its name is not known",
  EAI_AGAIN: "its name could not be looked up for now",
  EHOSTUNREACH: "there is no way to it (no route to host)",
  ENETUNREACH: "there is no way to it (network is unreachable)",
  ETIMEDOUT: "it does not answer (timed out)",
  ECONNRESET: "it ended the connection at once",
};

/** Node's AggregateError of several addresses has a code and no text of its own. */
function networkWords(thrown: unknown): string {
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
  return networkSentences[code] ?? (messageOf(thrown) || code);
}
