import assert from "node:assert/strict";
import { chainName, chainOptions } from "../../../provider/core/disk/chain-options.js";

const file = (filename: string) => ({ driver: "file", filename });

describe("the options that open a chain", () => {
  it("name each layer's file and format, from the top down", () => {
    const chain = [
      { path: "/a/top", format: "qcow2" },
      { path: "/a/middle", format: "qcow2" },
      { path: "/b/base", format: "raw" },
    ] as const;
    const middle = { driver: "qcow2", file: file("/a/middle"), backing: { driver: "raw", file: file("/b/base") } };
    assert.deepEqual(chainOptions(chain), { driver: "qcow2", file: file("/a/top"), backing: middle });
  });

  it("say that the lowest qcow2 stands on nothing, whatever its header says", () => {
    assert.deepEqual(chainOptions([{ path: "/a", format: "qcow2" }]), { driver: "qcow2", file: file("/a"), backing: null });
  });

  it("are a name for qemu-img whatever a path has in it", () => {
    const path = '/a "quoted", nbd:// \\ name';
    assert.deepEqual(JSON.parse(chainName([{ path, format: "raw" }]).slice("json:".length)), { driver: "raw", file: file(path) });
  });
});
