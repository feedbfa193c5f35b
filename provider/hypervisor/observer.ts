/** What is asked about a guest. Nothing here changes anything. */

import type { Job } from "../core/disk/job.js";
import type { Blocker, Burdens, ChainsView, GuestProcess, GuestRequests, GuestView } from "./guest-view.js";

export interface Observer {
  /** For messages: the socket or the libvirt name. */
  readonly name: string;

  /** The same for the same guest of the same host, however often it was opened. */
  readonly address: string;

  /**
   * Those who ask together get one answer; it is never older than the question.
   * @throws GuestNotRunning if there is no such guest (no socket, nobody listens)
   * @throws UserError if we may not open its monitor, or if that is none
   * @throws UnreachableError if the monitor is busy with another client, or does not answer
   */
  look(): Promise<GuestView>;

  /** As {@link look}, without the jobs, where that costs less: over QMP four questions, three once the guest's UUID is known. */
  lookAtChains(): Promise<ChainsView>;

  /** A look that tells of a pull on this disk, too. The chain is never older than the answer that there is none. */
  lookForPull(qdev: string): Promise<GuestView>;

  /** Job statuses only: the cheapest look. */
  jobs(): Promise<readonly Job[]>;

  /**
   * Waits until it can be asked: a monitor serves one client. Without a wait where several are served.
   * @throws UnreachableError if another client is not done in so many seconds, or `stop` fires
   */
  awaitTurn(seconds: number, stop: AbortSignal): Promise<void>;

  /** Commands and arguments of the monitor that a move needs and this guest's QEMU does not have; empty when all are there. */
  missingFeatures(): Promise<readonly string[]>;

  /** The serial numbers of devices, in the order of their qdevs. One question a device: ask only when no name fits. */
  serials(qdevs: readonly string[]): Promise<readonly (string | undefined)[]>;

  /** Where a request waits that the guest begins in the switch. */
  requestsOf(qdev: string): Promise<GuestRequests>;

  /** Asked right before each job of ours and each switch: one round trip, however many disks. Empty when nothing is in the way. */
  blockers(qdevs: readonly string[]): Promise<readonly Blocker[]>;

  /** @throws UserError if the hypervisor does not answer one of the questions: a refusal is never read as "none" */
  burdens(qdev: string): Promise<Burdens>;

  /** Files that belong to the guest and stay where they are, as the parts of a list. */
  staying(): Promise<readonly string[]>;

  /** The guest's process, or undefined where the host does not let us see it (another user's). */
  process(): Promise<GuestProcess | undefined>;

  /** By which name the guest with this id can be opened now; undefined: by none, or nobody knows. */
  nameOf(domainId: string): Promise<string | undefined>;

  /** Resolves when the guest's monitor said something (a wake-up, never a decision) or the time is over. */
  wakeUp(timeoutSeconds: number): Promise<void>;

  /** Gives the monitor back to others: at once, or as soon as nobody uses it. The next question opens it again. */
  close(): void;
}
