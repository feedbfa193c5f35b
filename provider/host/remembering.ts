/** A host whose answers are remembered: for looks that come together, and ask the same. */

import type { Finished, Host } from "./host.js";

/** The same host, on which each question is asked once. Only for questions: a script that changes anything must run every time. */
export function remembering(host: Host): Host {
  const answers = new Map<string, Promise<Finished>>();
  return {
    name: host.name,
    stateDirectory: host.stateDirectory,
    run(script, args = [], options = {}) {
      const question = JSON.stringify([script, args, String(options.stdin ?? "")]);
      const known = answers.get(question);
      if (known) return known;
      const asked = host.run(script, args, options);
      answers.set(question, asked);
      asked.catch(() => answers.delete(question));
      return asked;
    },
    open: (script, args) => host.open(script, args),
    worker: () => host.worker(),
    withOneWorker: (work) => host.withOneWorker(work),
  };
}
