/** What must not happen twice at once in this process: one after the other, first come first served. */

const last = new Map<string, Promise<unknown>>();

/** Does `work` when all that was begun before under this key is over, however it ended. */
export async function oneByOne<T>(key: string, work: () => Promise<T>): Promise<T> {
  const before = last.get(key) ?? Promise.resolve();
  const mine = before.then(work, work);
  last.set(key, mine);
  try {
    return await mine;
  } finally {
    if (last.get(key) === mine) last.delete(key);
  }
}
