/** What the worker says, line by line. */

import { z } from "zod";
import { failureReply } from "./worker-error.js";

const hello = z.object({
  version: z.int(),
  python: z.string(),
  bootId: z.string(),
  /** /etc/machine-id, else the host's name. */
  machine: z.string(),
  uid: z.int(),
  pid: z.int(),
});

/** The worker that was started, and the host as it finds it. */
export type Hello = z.output<typeof hello>;

/** The first line: the worker's, or that of what found no python for it. */
export const firstLine = z.union([z.object({ hello }), z.object({ missing: z.string(), found: z.string().optional() })]);

/** Every other line. A fault is the answer to a line that was none of a client's. */
export const laterLine = z.union([
  z.object({ id: z.int(), result: z.unknown() }).refine((line) => "result" in line),
  z.object({ id: z.int(), error: failureReply }),
  z.object({ id: z.int(), event: z.unknown() }).refine((line) => "event" in line),
  z.object({ monitor: z.int(), event: z.record(z.string(), z.unknown()) }),
  z.object({ monitor: z.int(), closed: z.record(z.string(), z.unknown()) }),
  z.object({ fault: z.string() }),
]);

export type LaterLine = z.output<typeof laterLine>;

/** A line as JSON, or undefined where it is none, which no schema takes. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
