/** `vda copying 43 % 1.2 GiB/s eta 12 s`: where long work stands, and how fast it goes. */

import { bytesText } from "../core/bytes.js";
import type { Job } from "../core/disk/job.js";
import type { World } from "../core/world.js";

/** Turns amounts into lines; remembers when it was begun, so make one for each piece of work. */
export function pace(work: string, world: Pick<World, "clock">): (doneBytes: number | undefined, totalBytes: number | undefined) => string {
  let begun: { at: number; done: number } | undefined;
  return (done, total) => {
    if (done === undefined || total === undefined) return `${work}, how far is not known`;
    const at = world.clock();
    begun ??= { at, done };
    const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
    const seconds = at - begun.at;
    const speed = seconds > 0 ? (done - begun.done) / seconds : 0;
    const eta = speed > 0 && total > done ? ` eta ${Math.ceil((total - done) / speed)} s` : "";
    return `${work} ${percent} %${speed > 0 ? ` ${bytesText(speed)}/s` : ""}${eta}`;
  };
}

/** Progress lines of jobs, one teller for each phase of a disk. */
export class JobTeller {
  readonly #told = new Map<string, ReturnType<typeof pace>>();
  readonly #world: Pick<World, "clock">;

  constructor(world: Pick<World, "clock">) {
    this.#world = world;
  }

  tell(disk: string, { phase, job }: { phase: string; job: Job }): string {
    const key = `${disk} ${phase}`;
    const teller = this.#told.get(key) ?? pace(key, this.#world);
    this.#told.set(key, teller);
    return teller(job.currentProgress, job.totalProgress);
  }
}
