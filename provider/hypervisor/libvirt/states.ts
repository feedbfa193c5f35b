/**
 * The answers of `virsh domstate --reason` by what they mean for a switch, for the run; its worker has them in domain_states.py. Pure.
 * @see virshDomainPausedReasonToString() in tools/virsh-domain-monitor.c, libvirt 9.0
 */

/** libvirt gives these only to a guest that ran (qemuProcessHandleIOError() and its like, 9.0): who has suspended it before has let it go. */
export const stoppedByItself = ["paused (I/O error)", "paused (watchdog)", "paused (crashed)"] as const;

/** A migration if libvirt has a job; else the guest was restored paused (`virsh restore --paused`; qemuSaveImageStartVM(), 9.0). */
export const migratingOrRestored = "paused (migrating)";

/** What `virsh domjobinfo` says of a domain without a job. On the side that a guest comes to it is refused: that is none of these. */
export const noJob = /^Job type: *None\s*$/m;

/** Whether the guest waits for the one who has suspended it, or for a job of libvirt's that ends by itself. */
export function isSuspended(state: string): boolean {
  return state.startsWith("paused") && !stoppedByItself.some((own) => own === state);
}
