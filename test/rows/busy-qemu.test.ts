/** QEMU does not answer for some seconds in a switch whose client is killed (40 s: at-length/stopped-qemu.test.ts). */

import { finalizing, leavesGuestThatWritesOn, pending } from "./busy-qemu.js";

describe("a client that is killed in a switch of two disks", function () {
  this.timeout(240_000);

  leavesGuestThatWritesOn({ ...finalizing, seconds: 2.5 });
  leavesGuestThatWritesOn({ ...pending, seconds: 12 });
});
