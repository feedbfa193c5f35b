/** QEMU heard a command and said no. */

import { HypervisorRefusal } from "../refusal.js";

/**
 * Callers decide by {@link qmpClass}, or by the state looked at again: QEMU's texts differ between releases, and nearly all of its refusals are of
 * class `GenericError`.
 */
export class QmpRefusal extends HypervisorRefusal {
  constructor(
    readonly command: string,
    /** @see QEMU QMP reference, QapiErrorClass: `GenericError`, `CommandNotFound`, `DeviceNotActive`, `DeviceNotFound`, `KVMMissingCap` */
    readonly qmpClass: string,
    words: string,
    sent: { monitor: string; arguments: string },
  ) {
    super(`Unable to ${command} at ${sent.monitor}: QEMU answered "${words}" (${qmpClass}) to ${sent.arguments}.`, "QEMU", words);
  }
}
