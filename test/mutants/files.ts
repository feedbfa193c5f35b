/** Runs test files against a copy of the build until one fails. */

import { endGroup, startOn } from "./copy.js";
import type { Told } from "./turn.js";

export type Ending =
  | { ended: "passed" }
  | { ended: "failed"; file: string; title: string }
  /** All that were run until then passed. */
  | { ended: "cut" };

export interface Limits {
  /** Longer than a file's tests take with nothing changed: what does not end is not right. */
  fileSeconds: (file: string) => number;
  /** Ends the search. @default none */
  until?: AbortSignal;
  /** Ends the run. */
  stop: AbortSignal;
  passed?: (file: string, milliseconds: number) => void;
}

/** @param files as `test/host/run.test.js`, in the order in which they run */
export async function runFiles(copy: string, files: readonly string[], limits: Limits): Promise<Ending> {
  if (files.length === 0) return { ended: "passed" };
  const child = startOn(copy, "test/mutants/turn.js", files);
  const { promise, resolve } = Promise.withResolvers<Ending>();
  let current = files[0] ?? "";
  let timer: NodeJS.Timeout | undefined;
  let left = files.length;
  const cut = () => resolve({ ended: "cut" });
  const ends = [limits.until, limits.stop].filter((signal) => signal !== undefined);
  for (const signal of ends) signal.addEventListener("abort", cut);
  if (ends.some(({ aborted }) => aborted)) cut();
  child.on("message", (told: Told) => {
    clearTimeout(timer);
    if (told.told === "failed") return resolve({ ended: "failed", file: told.file, title: told.title });
    if (told.told === "passed") {
      limits.passed?.(told.file, told.milliseconds);
      return --left === 0 ? resolve({ ended: "passed" }) : undefined;
    }
    current = told.file;
    const seconds = limits.fileSeconds(current);
    timer = setTimeout(() => resolve({ ended: "failed", file: current, title: `it has not ended within ${seconds} s` }), seconds * 1000);
  });
  child.once("error", (reason) => resolve({ ended: "failed", file: current, title: reason.message }));
  child.once("exit", () => resolve({ ended: "failed", file: current, title: "its process ended" }));
  const ending = await promise;
  clearTimeout(timer);
  for (const signal of ends) signal.removeEventListener("abort", cut);
  await endGroup(child);
  return ending;
}
