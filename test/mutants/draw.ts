/** Which mutants are tried: drawn by chance, evenly over kinds and files. */

import ts from "typescript";
import type { Sources } from "../architecture/imports.js";
import { chanceOf } from "../faults/chance.js";
import { type Edit, type Kind, kinds, type Mutant, mutantOf } from "./edit.js";
import { isReadable, programEdits } from "./programs.js";
import { editsOf } from "./statements.js";

interface Place {
  source: ts.SourceFile;
  edit: Edit;
}

/** Not drawn yet, by kind and file. */
type Pool = Map<Kind, Map<string, Place[]>>;

/**
 * The first `count` for this seed; fewer where there are no more. A longer draw begins with a shorter one.
 * @param compiles of those that do not another is drawn in place
 */
export function draw(sources: Sources, seed: number, count: number, compiles: (mutant: Mutant) => boolean): Mutant[] {
  const chance = chanceOf(seed);
  const pool = poolOf(sources);
  const taken = new Map<string, number>();
  const drawn: Mutant[] = [];
  for (let turn = Math.floor(chance() * kinds.length); drawn.length < count && pool.size > 0; turn++) {
    const kind = kinds[turn % kinds.length];
    const found = kind && nextOf(kind, pool, taken, chance, compiles);
    if (!found) continue;
    taken.set(found.file, (taken.get(found.file) ?? 0) + 1);
    drawn.push(found);
  }
  return drawn;
}

function poolOf(sources: Sources): Pool {
  const pool: Pool = new Map();
  for (const file of [...sources.keys()].sort()) {
    const source = ts.createSourceFile(file, sources.get(file) ?? "", ts.ScriptTarget.Latest, true);
    for (const edit of [...editsOf(source), ...programEdits(source)]) {
      const files = pool.get(edit.kind) ?? new Map<string, Place[]>();
      files.set(file, [...(files.get(file) ?? []), { source, edit }]);
      pool.set(edit.kind, files);
    }
  }
  return pool;
}

/** From a file that has been drawn from least. */
function nextOf(
  kind: Kind,
  pool: Pool,
  taken: ReadonlyMap<string, number>,
  chance: () => number,
  compiles: (mutant: Mutant) => boolean,
): Mutant | undefined {
  const files = pool.get(kind);
  while (files && files.size > 0) {
    const least = Math.min(...[...files.keys()].map((file) => taken.get(file) ?? 0));
    const file = pick(
      [...files.keys()].filter((name) => (taken.get(name) ?? 0) === least),
      chance,
    );
    const places = files.get(file) ?? [];
    const place = pick(places, chance);
    const left = places.filter((one) => one !== place);
    if (left.length > 0) files.set(file, left);
    else files.delete(file);
    const mutant = mutantOf(file, place.source.text, place.edit);
    if (isReadable(place.source, place.edit) && compiles(mutant)) return mutant;
  }
  pool.delete(kind);
  return undefined;
}

function pick<T>(list: readonly T[], chance: () => number): T {
  const found = list[Math.floor(chance() * list.length)];
  if (found === undefined) throw new Error("Nothing can be drawn from an empty list.");
  return found;
}
