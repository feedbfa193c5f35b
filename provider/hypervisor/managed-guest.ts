/** The switches of a guest that libvirt manages, and what they are given. */

import type { LibvirtSilence, LibvirtSwitchPlan, LibvirtSwitchResult } from "../host/worker/libvirt-switching.js";

/** Without what is libvirt's own. */
export type PlannedLibvirtSwitch = Omit<LibvirtSwitchPlan, "uri" | "switchLock">;

export interface ManagedGuest {
  /**
   * From jobs that are ready to the end, by the host alone: this client and its network have no part in it.
   * @param lock of the worker's, that of the domain; its file is recorded while the guest is suspended
   * @param silent is told how long libvirt has not answered
   * @throws WorkerError if nothing was begun
   */
  switch(
    plan: PlannedLibvirtSwitch,
    lock: { path: string; number: number },
    silent: (silence: LibvirtSilence) => void,
  ): Promise<LibvirtSwitchResult>;

  /**
   * Resumes the guest until libvirt says that it runs, or has stopped by itself since, and ends the record of its suspension.
   * @returns its state, in the hypervisor's words
   * @param deadline as the world's clock counts; after it nothing is begun
   * @throws UserError with libvirt's words, if it is suspended still
   */
  letGo(deadline: number): Promise<string>;
}
