/** What cannot change while a session lasts, since one session is with one QEMU process. */

import type { QmpSession } from "./client.js";

/** Asks once a session; a question that failed is asked again. */
export function oncePerSession<T>(answers: WeakMap<QmpSession, Promise<T>>, session: QmpSession, ask: () => Promise<T>): Promise<T> {
  const known = answers.get(session);
  if (known) return known;
  const asked = ask();
  answers.set(session, asked);
  asked.catch(() => answers.delete(session));
  return asked;
}
