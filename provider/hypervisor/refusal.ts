import { UserError } from "../core/errors.js";

/** The hypervisor heard a command and refused it. Nothing has happened. */
export class HypervisorRefusal extends UserError {
  constructor(
    sentence: string,
    readonly by: "QEMU" | "libvirt",
    /** The hypervisor's own words. */
    readonly words: string,
  ) {
    super(sentence);
  }
}
