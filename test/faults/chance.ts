/** Chance that is the same for the same seed. Pure. */

/** Numbers from 0 to below 1, the same for the same seed. @see https://gist.github.com/tommyettinger/46a874533244883189143505d203312c (mulberry32) */
export function chanceOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** One after the other, in another order in each round. */
export function endless<T>(all: readonly T[], chance: () => number): () => T {
  let left: T[] = [];
  return () => {
    if (left.length === 0) left = shuffled(all, chance);
    return left.pop() as T; // never empty: it was just filled
  };
}

export function pick<T>(all: readonly T[], chance: () => number): T {
  return all[Math.floor(chance() * all.length)] as T; // within the list: chance is below 1
}

export function shuffled<T>(all: readonly T[], chance: () => number): T[] {
  return all
    .map((one) => ({ one, turn: chance() }))
    .sort((a, b) => a.turn - b.turn)
    .map(({ one }) => one);
}

/** So many commands has the longest run that goes on after a break, about. */
const commandsAtMost = 60;

/** A command of such a run, counted from 1; early ones are as many as late ones. */
export function anyCommand(chance: () => number): number {
  return Math.ceil(commandsAtMost ** chance());
}
