/** Who else finds files through a symbolic link of the host. */

import { z } from "zod";
import { reads } from "./operation.js";
import type { Worker } from "./worker.js";

const reply = z.object({
  users: z.array(
    z.object({
      /** As a sentence names it: `process 4711`, `the domain web`. */
      who: z.string(),
      /** The name that it has been given. */
      path: z.string(),
    }),
  ),
  /** There are processes whose command lines this account may not read (hidepid, proc(5)). */
  areHidden: z.boolean(),
});

export type LinkUsers = z.output<typeof reply>;
export type LinkUser = LinkUsers["users"][number];

export interface LinkQuestion {
  link: string;
  /** What is found through the link afterwards, too. One that is not there is no error. */
  moving: readonly string[];
  /** A process that does not count. 0: all count. */
  except: number;
}

const operation = reads<LinkQuestion, LinkUsers>("link-users", reply);

/**
 * By the command lines of the QEMUs that run, and by libvirt's definitions in /etc/libvirt/qemu, as far as the account may read them. Nobody
 * found does not say that nobody is there.
 */
export function linkUsers(worker: Worker, question: LinkQuestion): Promise<LinkUsers> {
  return worker.request(operation, question);
}
