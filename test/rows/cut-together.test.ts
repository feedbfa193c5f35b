/**
 * The program on the host and QEMU are gone in the middle of a switch, as when the power is cut, or the program alone. The manifests, a boot
 * and the QEMU that runs then agree, and the next run ends the switch.
 */

import { isRecorded, isRenamed, isWritten, killedIn } from "./killed-in-switch.js";

describe("a move whose program on the host is killed in the switch", function () {
  this.timeout(300_000);

  killedIn([
    { title: "right after the manifests", through: "link", side: "path1", isThere: isWritten },
    { title: "right after the manifests", through: "name", side: "path1", isThere: isWritten },
    { title: "after the old name", through: "name", side: "path1", isThere: isRenamed },
    { title: "after the old name of a raw image", through: "name", format: "raw", side: "path1", isThere: isRenamed },
    { title: "after the switch record", through: "name", side: "path2", isThere: isRecorded },
  ]);
});
