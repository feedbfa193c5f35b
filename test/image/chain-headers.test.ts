/** Whether headers name the chain that their files are in, on real images. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import path from "node:path";
import type { ChainFiles } from "../../provider/core/disk/chain-options.js";
import { deviationsIn } from "../../provider/image/chain-headers.js";
import { LocalHost } from "../hypervisor/qemu/local-host.js";
import { makeFolder } from "../sandbox/folders.js";
import { forgetBackingFormat } from "../sandbox/headers.js";

/** `top.qcow2` on `middle.qcow2` on `base.raw`, by relative names. */
async function images() {
  const { path: folder, remove } = await makeFolder("livedisk-chain-");
  const at = (name: string) => path.join(folder, name);
  const make = (name: string, ...below: string[]) => execFileSync("qemu-img", ["create", "-q", "-u", ...below, at(name), "1M"]);
  make("base.raw", "-f", "raw");
  make("middle.qcow2", "-f", "qcow2", "-b", "base.raw", "-F", "raw");
  make("top.qcow2", "-f", "qcow2", "-b", "middle.qcow2", "-F", "qcow2");
  const chain: ChainFiles = [
    { path: at("top.qcow2"), format: "qcow2" },
    { path: at("middle.qcow2"), format: "qcow2" },
    { path: at("base.raw"), format: "raw" },
  ];
  return { at, make, chain, [Symbol.asyncDispose]: remove };
}

describe("the headers of a chain", () => {
  const host = new LocalHost();

  it("name the chain that they are in, also by other names of the same files", async () => {
    await using made = await images();
    execFileSync("ln", ["-s", made.at("base.raw"), made.at("link.raw")]);
    const [top, middle] = made.chain;
    assert.deepEqual(await deviationsIn(host, made.chain), []);
    assert(middle);
    assert.deepEqual(await deviationsIn(host, [top, middle, { path: made.at("link.raw"), format: "raw" }]), []);
  });

  it("deviate where one names no format", async () => {
    await using made = await images();
    forgetBackingFormat(made.at("middle.qcow2"));
    const [found] = await deviationsIn(host, made.chain);
    assert.deepEqual([found?.layer.path, found?.in], [made.at("middle.qcow2"), "no-format"]);
  });

  it("deviate where one names another format", async () => {
    await using made = await images();
    made.make("middle.qcow2", "-f", "qcow2", "-b", "base.raw", "-F", "qcow2");
    const [found] = await deviationsIn(host, made.chain);
    assert.deepEqual([found?.in, found?.why], ["format", `says that ${made.at("base.raw")} has the format qcow2, and it is raw`]);
  });

  it("deviate where one names another file", async () => {
    await using made = await images();
    made.make("other.raw", "-f", "raw");
    made.make("middle.qcow2", "-f", "qcow2", "-b", "other.raw", "-F", "raw");
    const [found] = await deviationsIn(host, made.chain);
    assert.deepEqual([found?.in, found?.why], ["file", `names other.raw as its backing file, and stands on ${made.at("base.raw")}`]);
  });

  it("deviate where one names a file that is not there", async () => {
    await using made = await images();
    made.make("middle.qcow2", "-f", "qcow2", "-b", "none.raw", "-F", "raw");
    assert.equal((await deviationsIn(host, made.chain))[0]?.in, "file");
  });

  it("deviate where one names no backing file", async () => {
    await using made = await images();
    made.make("middle.qcow2", "-f", "qcow2");
    assert.match((await deviationsIn(host, made.chain))[0]?.why ?? "", /^names no backing file, and stands on /);
  });

  it("deviate where the lowest one names a backing file", async () => {
    await using made = await images();
    const [top, middle] = made.chain;
    assert(middle);
    assert.match((await deviationsIn(host, [top, middle]))[0]?.why ?? "", /^names base\.raw as its backing file, and has none/);
  });

  it("deviate where one cannot be read in its format", async () => {
    await using made = await images();
    made.make("middle.qcow2", "-f", "raw");
    const [found] = await deviationsIn(host, made.chain);
    assert.deepEqual([found?.in, found?.layer.path], ["header", made.at("middle.qcow2")]);
  });

  it("are told from the top down, all that deviate, and only of as many layers as are asked after", async () => {
    await using made = await images();
    made.make("other.raw", "-f", "raw");
    made.make("middle.qcow2", "-f", "qcow2", "-b", "other.raw", "-F", "raw");
    forgetBackingFormat(made.at("top.qcow2"));
    const told = async (asked?: number) => (await deviationsIn(host, made.chain, asked)).map((each) => [each.index, each.in]);
    assert.deepEqual(await told(), [
      [0, "no-format"],
      [1, "file"],
    ]);
    assert.deepEqual(await told(1), [[0, "no-format"]]);
  });
});
