/** Little is in flight at a time, under a limit less: a guest's write waits behind what the storage was asked for just before it. */

import assert from "node:assert/strict";
import { mirrorArguments } from "../../../provider/hypervisor/qemu/node-options.js";

const mebibyte = 2 ** 20;

describe("what is in flight at a time", () => {
  const names = { job: "job", target: "target", filter: "filter" };
  const mirror = (maxBytesPerSecond: number) =>
    mirrorArguments(names, { source: "active", sync: "top", copyMode: "background", maxBytesPerSecond }, []) as { "buf-size": number };

  it("is 1 MiB of a mirror under a limit, and 4 MiB without one", () => {
    assert.equal(mirror(1)["buf-size"], mebibyte);
    assert.equal(mirror(0)["buf-size"], 4 * mebibyte);
  });
});
