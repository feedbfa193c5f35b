/** Runs that lose their monitor at a command. */

import assert from "node:assert/strict";
import { Unfinished } from "../../provider/core/lifecycle.js";
import type { QmpProxy } from "../sandbox/qmp-proxy.js";

/**
 * Moves until QEMU would be told this command, where the connection is cut instead. A run that ends before is followed by another, as the user
 * would do it.
 * @returns how the run ended that was cut
 */
export async function cutAt(command: string, proxy: QmpProxy, move: () => Promise<unknown>): Promise<Unfinished> {
  let isCut = false;
  proxy.before(command, () => {
    isCut = true;
    return "cut";
  });
  for (let runs = 1; ; runs++) {
    const ended: unknown = await move().catch((reason: unknown) => reason);
    assert(ended instanceof Unfinished, String(ended));
    if (isCut) return ended;
    assert(runs < 4, `It did not come to ${command} in ${runs} runs: ${ended.message}`);
  }
}
