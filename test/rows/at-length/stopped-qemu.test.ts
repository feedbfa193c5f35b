/** QEMU is stopped for longer than any deadline of a run in a switch whose client is killed. */

import { finalizing, leavesGuestThatWritesOn, pending } from "../busy-qemu.js";

describe("a client that is killed in a switch of two disks, by a QEMU that is stopped", function () {
  this.timeout(300_000);

  leavesGuestThatWritesOn({ ...pending, seconds: 40 });
  leavesGuestThatWritesOn({ ...finalizing, seconds: 40 });
});
