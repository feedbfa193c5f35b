/** What goes on beside some work. */

import type { World } from "../world.js";

/** Does `act` again and again, each time so long after the last beginning, until it is called off. */
export function every(world: Pick<World, "after">, seconds: number, act: () => void): () => void {
  const next = (): (() => void) =>
    world.after(seconds, () => {
      callOff = next();
      act();
    });
  let callOff = next();
  return () => callOff();
}
