/** What we ask of a hypervisor about one guest. qemu/ answers over QMP, libvirt/ over virsh. */

import type { LayerFile } from "../core/disk/chain-options.js";
import { UnreachableError, UserError } from "../core/errors.js";
import type { BlockGraph } from "./block-graph.js";
import type { BlockSteps } from "./block-steps.js";
import type { Observer } from "./observer.js";
import type { PendingSwitches, SuspendingSwitches, SwitchOutcome, SwitchRequest, SwitchWords } from "./switching.js";
import type { Traits } from "./traits.js";

export * from "./block-graph.js";
export * from "./block-steps.js";
export * from "./guest-view.js";
export type * from "./observer.js";
export type * from "./switching.js";
export type * from "./traits.js";

/** The host itself says that nobody runs behind this address: the guest is stopped, or never was. */
export class GuestNotRunning extends UserError {}

/** The host itself says that there is no such domain, running or not. Only libvirt can say so. */
export class DomainMissing extends UserError {}

/** Its monitor took the connection, and did not greet: another client may have it. */
export class MonitorBusy extends UnreachableError {}

/** One guest. It keeps no observation on which a step rests. */
export interface Guest extends Observer, BlockSteps {
  readonly traits: Traits;

  /**
   * From jobs that are ready to the end, by the host alone: once it has begun, this client and its network have no part in it.
   * @throws Unable, or WorkerError, if nothing was begun; `timed-out` if no answer came: the host goes on with it all the same
   */
  switch(request: SwitchRequest, words: SwitchWords): Promise<SwitchOutcome>;

  /**
   * Makes the next start find a disk there, where the hypervisor itself keeps a definition; with `below`, also what that stands on, so that its
   * header does not count. All else of the definition stays.
   * @throws UserError if it has no such disk with a file, or gives that file to another disk
   */
  redefine(qdev: string, source: LayerFile & { below?: readonly LayerFile[] }): Promise<void>;

  /** Only where single nodes are ours to change. */
  readonly graph?: BlockGraph;

  /** The same guest for a report, on which no step rests: what it says may be some seconds old, and cost less. */
  readonly forReport?: Guest;

  /** Only where {@link Traits.switching} is `pending`. */
  readonly pending?: PendingSwitches;

  /** Only where it is `suspended`. */
  readonly suspending?: SuspendingSwitches;
}

/** A guest whose single nodes are ours to change. */
export interface GraphGuest extends Pick<Guest, "process" | "closeNodes" | "jobs"> {
  graph: BlockGraph;
}

export function hasGraph(guest: Guest): guest is Guest & GraphGuest {
  return guest.graph !== undefined;
}
