/** A guest without a QEMU: it notes what it is asked, and answers as a test says. */

import type { Guest, GuestView, ManagedGuest } from "../../../provider/hypervisor/hypervisor.js";

export type Answers<T> = Partial<{ [name in keyof T]: unknown }>;

/** What a guest with nothing in it answers. */
export const emptyView: GuestView = { domainId: "domain", status: "running", disks: [], jobs: [], nodes: [] };

const usual: Answers<Guest> = {
  name: "web",
  managed: undefined,
  forReport: undefined,
  look: () => emptyView,
  blockers: () => [],
  closeNodes: () => [],
  missingFeatures: () => [],
  jobs: () => [],
  serials: () => [],
};

export interface Noting<T> {
  guest: T;
  /** Each question in a line: its name, and its arguments as JSON. */
  asked: string[];
}

/** @param answers what it is, and what each method returns, or a function that makes it */
export function notingGuest(answers: Answers<Guest> = {}): Noting<Guest> {
  return noting<Guest>({ ...usual, ...answers });
}

export function notingManaged(answers: Answers<ManagedGuest> = {}): Noting<ManagedGuest> {
  return noting<ManagedGuest>({ uri: "qemu:///system", ...answers });
}

function noting<T>(answers: Answers<T>): Noting<T> {
  const asked: string[] = [];
  const known = answers as Record<string, unknown>;
  const guest = new Proxy(known, {
    get: (_, name) => {
      if (typeof name === "symbol" || name === "then") return undefined;
      const answer = known[name];
      if (name in known && typeof answer !== "function") return answer;
      return async (...args: unknown[]) => {
        asked.push([name, ...args.map((each) => JSON.stringify(each))].join(" "));
        return typeof answer === "function" ? answer(...args) : undefined;
      };
    },
  });
  return { guest: guest as T, asked };
}
