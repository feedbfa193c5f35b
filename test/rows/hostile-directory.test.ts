/** Both directories of a move, and the one above, belong to QEMU's group: another account of it swaps names there while root moves a disk. */

import assert from "node:assert/strict";
import { besiege } from "../hostile/siege.js";

describe("a directory in which another account swaps names", function () {
  this.timeout(600_000);

  before(function () {
    if (process.getuid?.() !== 0) this.skip(); // accounts, and a QEMU of another user, are root's to make
  });

  it("leads no move to anything outside, and every move to its end by the next run", async () => {
    const { outsideChanged, hung, settled, moves, swapsInWindow, wrong } = await besiege(2, ["new-files", "everything"], () => {});
    assert.equal(outsideChanged, 0, wrong.join("\n"));
    assert.equal(hung, 0, wrong.join("\n"));
    assert.equal(settled, moves, wrong.join("\n"));
    assert(swapsInWindow > 0, "no name was swapped while a move was under way");
  });
});
