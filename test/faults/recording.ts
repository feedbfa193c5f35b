/** A whole move of each strategy, with every command that it gives. */

import { Arena } from "./arena.js";
import type { Recording } from "./points.js";
import { type Strategy, strategies } from "./strategies.js";

export async function recordMove(arena: Arena): Promise<Recording> {
  await arena.prepare();
  arena.trap.clear();
  const result = await arena.run("up", arena.other);
  if (!result.ok) throw new Error(`The move that was to be recorded failed:\n${result.output}`);
  const recording = [...arena.trap.passed];
  await arena.settle(arena.other);
  return recording;
}

/** With so many guests at a time. */
export async function recordAll(workers: number, said: (line: string) => void): Promise<Record<Strategy, Recording>> {
  const recordings: Partial<Record<Strategy, Recording>> = {};
  const left = [...strategies];
  const worker = async () => {
    for (let strategy = left.shift(); strategy !== undefined; strategy = left.shift()) {
      await using arena = await Arena.open(strategy);
      const recording = await recordMove(arena);
      recordings[strategy] = recording;
      said(
        `recorded ${strategy}: ${recording.length} commands, ${recording.filter(({ kind }) => kind === "change").length} of them change something`,
      );
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return recordings as Record<Strategy, Recording>; // every one was just recorded
}
