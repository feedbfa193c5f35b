/**
 * Whether what a move should leave as it was stays level over many moves. The rule: the median of the last quarter of all samples may
 * not lie above the median of the second quarter (the first warms up); counts by nothing, memory by a tenth or 16 MiB, whichever is more.
 */

export const counts = [
  "namedNodes",
  "jobs",
  "files",
  "qemuDescriptors",
  "sshdProcesses",
  "sshdDescriptors",
  "providerDescriptors",
  "providerThreads",
] as const;
export const memories = ["qemuBytes", "sshdBytes", "providerBytes"] as const;

export type Quantity = (typeof counts)[number] | (typeof memories)[number];

/** Taken after each move. */
export type Sample = Readonly<Record<Quantity, number>>;

export interface Level {
  quantity: Quantity;
  /** Medians. */
  secondQuarter: number;
  lastQuarter: number;
  /** What the last quarter may reach. */
  bound: number;
}

const fewestSamples = 5;
const mebibyte = 1024 * 1024;

/** @throws Error if there are too few samples to tell */
export function levelsOf(samples: readonly Sample[]): Level[] {
  if (samples.length < fewestSamples)
    throw new Error(`${samples.length} moves are too few to tell a level: make at least ${fewestSamples}.`);
  return [...counts, ...memories].map((quantity) => {
    const values = samples.map((sample) => sample[quantity]);
    const secondQuarter = median(quarter(values, 1));
    const allowance = counts.some((count) => count === quantity) ? 0 : Math.max(secondQuarter / 10, 16 * mebibyte);
    return { quantity, secondQuarter, lastQuarter: median(quarter(values, 3)), bound: secondQuarter + allowance };
  });
}

export function isLevel({ lastQuarter, bound }: Level): boolean {
  return lastQuarter <= bound;
}

/** The lower of the two in the middle of an even number. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0;
}

function quarter(values: readonly number[], index: number): readonly number[] {
  const at = (part: number) => Math.floor((values.length * part) / 4);
  return values.slice(at(index), at(index + 1));
}
