/** What cannot change while a session lasts, since one session is with one QEMU process. */

import type { QmpSession } from "./client.js";

/** A question asked once a session; one that failed is asked again. */
export function oncePerSession<T>(ask: (session: QmpSession) => Promise<T>): (session: QmpSession) => Promise<T> {
  const answers = new WeakMap<QmpSession, Promise<T>>();
  return (session) => {
    const known = answers.get(session);
    if (known) return known;
    const asked = ask(session);
    answers.set(session, asked);
    asked.catch(() => answers.delete(session));
    return asked;
  };
}
