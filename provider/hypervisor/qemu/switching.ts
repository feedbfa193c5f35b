/** The switches of a guest over QMP: planned here, carried out by the host's worker. */

import type { Host } from "../../host/host.js";
import type { PlannedSwitch, SwitchResult } from "../../host/worker/switching.js";
import { asNamed, identitiesOf } from "../planned-move.js";
import type { CutRequest, PendingSwitches, SwitchOutcome, SwitchRequest, SwitchWords } from "../switching.js";
import { filters } from "./active-node.js";
import type { Monitor } from "./monitor.js";
import { namesIn, outcomeOf, planWords, recoveryPlan, switchPlan } from "./switch-plan.js";

/** What carries a plan out. */
export interface Carrier {
  switch(plan: PlannedSwitch): Promise<SwitchResult>;
  recover(plan: PlannedSwitch): Promise<SwitchResult>;
}

export function carrierOf(monitor: Monitor, socket: string): Carrier {
  return {
    switch: (plan) => monitor.use((session) => session.switch({ ...plan, socket, filters })),
    recover: (plan) => monitor.use((session) => session.recover({ ...plan, socket, filters })),
  };
}

export class Switching implements PendingSwitches {
  constructor(
    private readonly host: Host,
    private readonly carrier: Carrier,
  ) {}

  async switch(request: SwitchRequest, words: SwitchWords): Promise<SwitchOutcome> {
    const plan = switchPlan(request, await identitiesOf(this.host, asNamed(namesIn(request))));
    words.planned(planWords(plan));
    return outcomeOf(request.disks, await this.carrier.switch(plan));
  }

  async recover(cut: CutRequest, words: Pick<SwitchWords, "planned">): Promise<SwitchOutcome> {
    const plan = recoveryPlan(cut, await identitiesOf(this.host, cut.at));
    words.planned(planWords(plan));
    return outcomeOf(cut.disks, await this.carrier.recover(plan));
  }
}
