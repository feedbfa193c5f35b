/** The switches of a guest of libvirt's. */

import { type LibvirtSilence, type LibvirtSwitchResult, runLibvirtSwitch } from "../../host/worker/libvirt-switching.js";
import type { ManagedGuest, PlannedLibvirtSwitch } from "../hypervisor.js";
import type { Domain } from "./domain.js";
import { letGo } from "./resuming.js";

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
export class Managed implements ManagedGuest {
  readonly #domain: Domain;

  constructor(domain: Domain) {
    this.#domain = domain;
  }

  async switch(
    plan: PlannedLibvirtSwitch,
    lock: { path: string; number: number },
    silent: (silence: LibvirtSilence) => void,
  ): Promise<LibvirtSwitchResult> {
    const { host, address } = this.#domain;
    return runLibvirtSwitch(await host.worker(), { ...plan, uri: address.uri, switchLock: lock.path }, { locks: [lock.number], silent });
  }

  async letGo(deadline: number): Promise<string> {
    const { live } = await this.#domain.see();
    const [disk] = live.disks;
    if (!disk) throw this.#domain.refused(`resume ${live.name}`, "it has no disk any more, and jobs are asked for by disk");
    return letGo(await this.#domain.virsh(), live.uuid, { disk: disk.target, deadline });
  }
}
