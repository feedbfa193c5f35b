/** What stands in the way of every command, be it for QEMU or for a shell on the host: it looks on, or makes a fault at one exact place. */

/** A command on its way. */
export interface Passing {
  road: "qmp" | "host";
  /** What it is called in lists; the same command has the same name in every run. */
  name: string;
  /** A question changes nothing, and may be asked any number of times. */
  kind: "question" | "change";
}

/**
 * What becomes of a command. `forward`: nothing happens to it. `drop`: it never arrives, and nobody is told. `cut`: the same, and its
 * connection ends. `withhold`: it arrives, but what happens to its answer is asked. `garble`: it arrives, its answer is nonsense.
 */
export type Verdict = "forward" | "drop" | "cut" | "withhold" | "garble";

export interface Gate {
  /** Before the command arrives. To delay it, answer late. */
  before(command: Passing): Verdict | Promise<Verdict>;
  /** After a withheld command was carried out, before its answer is seen. */
  answered(command: Passing): "release" | "drop" | Promise<"release" | "drop">;
}

/** Lets everything through. */
export const openGate: Gate = { before: () => "forward", answered: () => "release" };
