/** A host whose answers are remembered: for looks that come together, and ask the same. */

import type { Finished, Host } from "./host.js";

/** Of hosts that remember, what was asked of the worker, and the host behind, which may remember too. */
const asked = new WeakMap<Host, { answers: Map<string, Promise<unknown>>; behind: Host }>();

/** The same host, on which each question is asked once. Only for questions: a script that changes anything must run every time. */
export function remembering(host: Host): Host {
  const answers = new Map<string, Promise<Finished>>();
  const same: Host = {
    name: host.name,
    world: host.world,
    stateDirectory: host.stateDirectory,
    run: (script, args = [], options = {}) =>
      once(answers, JSON.stringify([script, args, String(options.stdin ?? "")]), () => host.run(script, args, options)),
    open: (script, args) => host.open(script, args),
    worker: () => host.worker(),
    withOneWorker: (work) => host.withOneWorker(work),
  };
  asked.set(same, { answers: new Map(), behind: host });
  return same;
}

/** Asks the worker of a host that remembers once, and that of another host every time. */
export function askedOnce<T>(host: Host, question: string, ask: () => Promise<T>): Promise<T> {
  const known = asked.get(host);
  if (known === undefined) return ask();
  const answers = known.answers as Map<string, Promise<T>>; // each question has answers of one type
  return once(answers, question, () => askedOnce(known.behind, question, ask));
}

/** A question that nobody could answer is asked again. */
function once<T>(answers: Map<string, Promise<T>>, question: string, ask: () => Promise<T>): Promise<T> {
  const known = answers.get(question);
  if (known) return known;
  const answer = ask();
  answers.set(question, answer);
  answer.catch(() => answers.delete(question));
  return answer;
}
