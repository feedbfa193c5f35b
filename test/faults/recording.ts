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

export async function recordAll(said: (line: string) => void): Promise<Record<Strategy, Recording>> {
  const recordings: Partial<Record<Strategy, Recording>> = {};
  for (const strategy of strategies) {
    await using arena = await Arena.open(strategy);
    recordings[strategy] = await recordMove(arena);
    said(`recorded ${strategy}: ${recordings[strategy].length} commands`);
  }
  return recordings as Record<Strategy, Recording>; // each was just set
}
