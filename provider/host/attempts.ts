/** The order of signing in, as ssh2 asks for it. */

import type { ConnectConfig } from "ssh2";
import { messageOf } from "../core/errors.js";
import type { Attempt } from "./credentials.js";
import { levelOf } from "./refusals.js";

type AuthHandler = Extract<NonNullable<ConnectConfig["authHandler"]>, (...args: never[]) => void>;

/** Asks first what is accepted ("none", RFC 4252 section 5.2), then tries in our order what the server takes. */
export function authHandler(attempts: readonly Attempt[], attempted: { tried: string[]; accepted: string[] }): AuthHandler {
  const left: (Attempt | "ask")[] = ["ask", ...attempts];
  return (methods: readonly string[] | null, _partial, next) => {
    if (methods) attempted.accepted.splice(0, attempted.accepted.length, ...methods);
    for (let attempt = left.shift(); attempt !== undefined; attempt = left.shift()) {
      if (attempt === "ask") return next("none");
      if (methods && !methods.includes(attempt.method)) continue;
      attempted.tried.push(attempt.name);
      return next(attempt.ssh2);
    }
    // ssh2's types leave out `false`, its documented way of giving up (README, authHandler).
    const giveUp: (nothing: never) => void = next;
    giveUp(false as never);
  };
}

/** An agent that does not answer, a key that cannot sign: ssh2 reports it and goes on with the next attempt. */
export function isAboutOneKey(failure: unknown, { tried }: { tried: readonly string[] }): boolean {
  const level = levelOf(failure);
  return level === "agent" || (level === "client-authentication" && messageOf(failure).startsWith("Error signing") && tried.length > 0);
}
