/** Looks for reports: an engine reads a few resources at a time, so the second domain that is read makes one read of all domains of the host. */

import { allDomains, type DomainSeen, see } from "./look.js";
import type { Virsh } from "./virsh.js";

/** So old may be what a report says. Each domain is answered from it once: a second question about it gets a new observation. */
const keptSeconds = 20;
/** On larger hosts than this, most domains are nobody's here. */
const domainsAtMost = 500;

class Ahead {
  readonly #asked = new Map<string, number>();
  #kept = new Map<string, DomainSeen>();
  #keptAt: number | undefined;
  #looking: Promise<void> | undefined;

  readonly #virsh: Virsh;

  constructor(virsh: Virsh) {
    this.#virsh = virsh;
  }

  async see(name: string): Promise<DomainSeen> {
    const now = this.#now;
    const again = this.#isRecent(this.#asked.get(name), now);
    const others = [...this.#asked].some(([other, at]) => other !== name && this.#isRecent(at, now));
    this.#asked.set(name, now);
    if (again || !others) return this.#lookAt(name);
    return this.#take(name) ?? (await this.#lookAtAll(name)) ?? this.#lookAt(name);
  }

  get #now(): number {
    return this.#virsh.host.world.clock();
  }

  #isRecent(at: number | undefined, now: number): boolean {
    return at !== undefined && now - at < keptSeconds;
  }

  #take(name: string): DomainSeen | undefined {
    if (!this.#isRecent(this.#keptAt, this.#now)) this.#kept.clear();
    const kept = this.#kept.get(name);
    if (kept) this.#forget(kept);
    return kept;
  }

  async #lookAt(name: string): Promise<DomainSeen> {
    const seen = await see(this.#virsh, name);
    this.#forget(seen);
    return seen;
  }

  /** Under both of its names: what was told by the one is not told again by the other. */
  #forget({ live }: DomainSeen): void {
    for (const key of [live.name, live.uuid]) this.#kept.delete(key);
  }

  async #lookAtAll(name: string): Promise<DomainSeen | undefined> {
    this.#looking ??= this.#fill().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
    return this.#take(name);
  }

  async #fill(): Promise<void> {
    const all = await allDomains(this.#virsh);
    if (all.length > domainsAtMost) return;
    const seen = await Promise.allSettled(all.map(({ name }) => see(this.#virsh, name)));
    const answers = seen.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    this.#kept = new Map(answers.flatMap((one) => [one.live.name, one.live.uuid].map((key) => [key, one] as const)));
    this.#keptAt = this.#now;
  }
}

class AllAhead extends WeakMap<Virsh, Ahead> {}

/** As {@link see}, but up to 20 s old. Never for a decision that changes anything. */
export function seeForReport(virsh: Virsh, name: string): Promise<DomainSeen> {
  const known = virsh.host.world.one(AllAhead);
  const ahead = known.get(virsh) ?? new Ahead(virsh);
  known.set(virsh, ahead);
  return ahead.see(name);
}
