/** The switches of a guest that libvirt manages: planned here, carried out by the host's worker. */

import { KeyedMutex } from "../../core/async/keyed-mutex.js";
import { messageOf } from "../../core/errors.js";
import { seeFiles } from "../../host/file-seen.js";
import type { Host } from "../../host/host.js";
import { type LibvirtSilence, type LibvirtSwitchResult, runLibvirtSwitch } from "../../host/worker/libvirt-switching.js";
import { type GuestView, suspendedNow } from "../guest-view.js";
import { asNamed, identitiesOf } from "../planned-move.js";
import type { SuspendingSwitches, SwitchOutcome, SwitchRequest, SwitchWords } from "../switching.js";
import { Unable } from "../unable.js";
import type { Domain } from "./domain.js";
import { type DomainLock, withDomainLock } from "./domain-lock.js";
import { letGo } from "./resuming.js";
import { type Found, imagesIn, namesIn, outcomeOf, type PlannedLibvirtSwitch, planWords, switchPlan } from "./switch-plan.js";

/** After a switch that was cut nothing is begun later: then the next run does it. */
const actingSeconds = 200;

/** By the guest. */
class Switches extends KeyedMutex {}

/** What carries a plan out, and resumes a guest that a switch has left suspended. */
export interface Carrier {
  switch(plan: PlannedLibvirtSwitch, lock: DomainLock, silent: (silence: LibvirtSilence) => void): Promise<LibvirtSwitchResult>;
  look(): Promise<GuestView>;
  /** {@link letGo} */
  letGo(deadline: number): Promise<string>;
}

export class Switching implements SuspendingSwitches {
  constructor(
    private readonly host: Host,
    private readonly carrier: Carrier,
  ) {}

  /**
   * Several disks pivot one after the other while the guest is suspended. libvirt cannot do it for all or none: if one refuses, the
   * others have moved, nothing is lost, and the next run goes on with that one. One switch of a guest waits for another one's end.
   */
  switch(request: SwitchRequest, words: SwitchWords): Promise<SwitchOutcome> {
    const locked = async (lock: DomainLock) => {
      const plan = switchPlan(request, await this.#find(request));
      words.planned(planWords(plan));
      return outcomeOf(await this.carrier.switch(plan, lock, (silence) => words.silent(silence)));
    };
    const { domainId } = request;
    return this.host.world.one(Switches).run(domainId, () => withDomainLock({ host: this.host, domainId }, locked));
  }

  /** @throws Unable if a layer of the live chain is no longer under its name */
  async #find({ disks }: SwitchRequest): Promise<Found> {
    const images = imagesIn(disks);
    const seen = await seeFiles(this.host, images, "follow");
    const files = images.map((path, index) => {
      const file = seen[index];
      if (!file) throw new Unable(`nothing lies at ${path}`, "Run `pulumi up` again.");
      return [path, file] as const;
    });
    return { files: new Map(files), identities: await identitiesOf(this.host, asNamed(namesIn(disks))) };
  }

  resume(domainId: string, before: (view: GuestView, deadline: number) => Promise<void>, waitSeconds?: number) {
    const locked = async ({ path }: DomainLock) => {
      const view = await this.carrier.look();
      const { suspension } = view;
      const wasSuspended = suspendedNow(view) !== undefined;
      if (!suspension || (suspension.switchLock !== path && !wasSuspended)) return undefined;
      if (suspension.switchLock !== path)
        throw new Unable(
          `a switch of another account has suspended it, and it is not known whether that is over: its lock is ${suspension.switchLock}`,
          "If libvirtd is down, start it. If no switch goes on there, `virsh resume` the guest, then run again.",
        );
      const deadline = this.host.world.clock() + actingSeconds;
      await before(view, deadline);
      const state = await this.carrier.letGo(deadline).catch((cause: unknown) => {
        const why = `a switch that was cut has left its guest suspended, and ${messageOf(cause).replace(/\.$/, "")}`;
        throw new Unable(why, "Look at libvirtd and the guest's QEMU there, then run again.", cause);
      });
      return { wasSuspended, state };
    };
    return withDomainLock({ host: this.host, domainId, waitSeconds }, locked);
  }
}

/**
 * @host virsh, virsh hostname, virsh list, virsh dumpxml, virsh domstate, virsh domjobinfo, virsh metadata, virsh suspend, virsh blockjob, virsh
 *   update-device, virsh resume
 * @for switching
 * @does a child of the worker suspends the guest, pivots its jobs, looks where each disk is, corrects the persistent definition (`--config`), resumes the guest; it goes
 *   on to its end also if our run is killed
 * @changes the guest is suspended for a moment; which image takes its writes; an element in the running domain's metadata as long as it is suspended; the
 *   persistent definition; manifests; the name of the former image; a file livedisk-….xml in $TMPDIR or /tmp for a moment
 * @as the account; libvirtd does what virsh asks
 * @why while the guest is suspended both sides are the same, so that definition and manifests can follow it
 */
export function carrierOf(domain: Domain): Carrier {
  const { host, address } = domain;
  return {
    switch: async (plan, lock, silent) =>
      runLibvirtSwitch(await host.worker(), { ...plan, uri: address.uri, switchLock: lock.path }, { locks: [lock.number], silent }),
    look: async () => (await domain.see()).view,
    letGo: async (deadline) => {
      const { live } = await domain.see();
      const [disk] = live.disks;
      if (!disk) throw domain.refused(`resume ${live.name}`, "it has no disk any more, and jobs are asked for by disk");
      return letGo(await domain.virsh(), live.uuid, { disk: disk.target, deadline });
    },
  };
}
