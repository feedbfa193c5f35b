/**
 * Reads that come together share one look: an engine asks for a few resources at a time, and one look at a guest shows all of its disks.
 * For reports only: code that changes something observes again, and drops what was shared before.
 */

import type { Host } from "../../host/host.js";
import { remembering } from "../../host/remembering.js";
import type { Guest } from "../../hypervisor/hypervisor.js";
import type { Site, Viewpoint } from "./site.js";

/** So long after the last answer the next read still comes together with it. */
const gapSeconds = 2;
/** So old may a report be at most. */
const keptSeconds = 20;

/** Of each host the last one. */
class SharedLooks extends WeakMap<Host, SharedLook> {}

/** A second question of the same asker gets a new look. */
export function duringSharedLook<T>(site: Site, disks: readonly string[], read: (from: Viewpoint) => Promise<T>): Promise<T> {
  const asker = JSON.stringify([site.run.urn, site.guest.name, site.destination, disks]);
  const looks = site.host.world.one(SharedLooks);
  const known = looks.get(site.host);
  const shared = known?.isFor(asker) ? known : new SharedLook(site.host);
  looks.set(site.host, shared);
  return shared.during(asker, () => read(shared.from(site)));
}

/** Called before something is changed, and again afterwards. */
export function endSharedLook(host: Host): void {
  host.world.one(SharedLooks).delete(host);
}

class SharedLook {
  readonly #host: Host;
  readonly #guests = new Map<string, Viewpoint["guest"]>();
  readonly #asked = new Set<string>();
  readonly #begunAt: number;
  #lastAt: number;
  #underWay = 0;

  constructor(host: Host) {
    this.#host = remembering(host);
    this.#begunAt = host.world.clock();
    this.#lastAt = this.#begunAt;
  }

  isFor(asker: string): boolean {
    const now = this.#host.world.clock();
    const isRecent = this.#underWay > 0 || now - this.#lastAt < gapSeconds;
    return isRecent && now - this.#begunAt < keptSeconds && !this.#asked.has(asker);
  }

  async during<T>(asker: string, read: () => Promise<T>): Promise<T> {
    this.#asked.add(asker);
    this.#underWay++;
    try {
      return await read();
    } finally {
      this.#underWay--;
      this.#lastAt = this.#host.world.clock();
    }
  }

  from({ guest, destination, options }: Site): Viewpoint {
    const known = this.#guests.get(guest.address) ?? lookedAtOnce(guest.forReport ?? guest);
    this.#guests.set(guest.address, known);
    return { host: this.#host, guest: known, options, ...(destination === undefined ? {} : { destination }) };
  }
}

/** The guest, asked everything once; and nothing about jobs, which only a move that was begun makes interesting. */
function lookedAtOnce(guest: Guest): Viewpoint["guest"] {
  return {
    name: guest.name,
    traits: guest.traits,
    lookForPull: (qdev) => guest.lookForPull(qdev),
    look: once(async () => ({ jobs: [], ...(await guest.lookAtChains()) })),
    serials: oncePerQuestion((qdevs) => guest.serials(qdevs)),
    process: once(() => guest.process()),
  };
}

function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | undefined;
  return () => {
    answer ??= ask();
    return answer;
  };
}

function oncePerQuestion<T>(ask: (names: readonly string[]) => Promise<T>): (names: readonly string[]) => Promise<T> {
  const answers = new Map<string, Promise<T>>();
  return (names) => {
    const question = JSON.stringify(names);
    const answer = answers.get(question) ?? ask(names);
    answers.set(question, answer);
    return answer;
  };
}
