/** Whether two images hold the same for a guest. */

import assert from "node:assert/strict";
import { truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { isKind } from "../../provider/core/errors.js";
import { type CompareWatch, compareImages } from "../../provider/image/compare.js";
import { LocalConversation, LocalHost } from "../hypervisor/qemu/local-host.js";
import { type MadeFolder, makeFolder } from "../sandbox/folders.js";

describe("two images", () => {
  let folder: MadeFolder;
  beforeEach(async () => {
    folder = await makeFolder("livedisk-compare-");
    for (const name of ["a", "b"]) await writeFile(at(name), "same".repeat(1024));
  });
  afterEach(() => folder.remove());

  const at = (name: string) => path.join(folder.path, name);
  const compare = (format = "raw", watch: CompareWatch = {}, host = new LocalHost()) =>
    compareImages(host, [{ path: at("a"), format }], [{ path: at("b"), format }], "cached", watch);
  /** A script in place of the comparison. */
  const saying = (script: string) => Object.assign(new LocalHost(), { open: async () => new LocalConversation(script, []) });

  it("with the same bytes are the same", async () => assert.equal(await compare(), "same"));

  it("with another byte differ, and it is said where", async () => {
    await writeFile(at("b"), "same".repeat(1023).concat("some"));
    assert.match(JSON.stringify(await compare()), /"differs":".*[Oo]ffset \d+/);
  });

  it("of which one is longer differ, though the rest of it is zeros", async () => {
    await truncate(at("b"), 8192);
    assert.deepEqual(await compare(), { differs: `${at("a")} has 4096 bytes and ${at("b")} has 8192` });
  });

  it("of which one cannot be read are not compared, in words", async () => {
    await assert.rejects(compare("qcow2"), (thrown) => isKind(thrown, "user") && thrown.message.includes(at("a")));
  });

  it("are not said to differ where there is no qemu-img", async () => {
    await assert.rejects(
      compare("raw", {}, saying("echo ended 127")),
      (thrown) => isKind(thrown, "user") && /Unable to compare/.test(thrown.message),
    );
  });

  it("are compared no further once the run is asked to stop", async () => {
    const host = saying("echo at 1; read -r answer; echo ended 0");
    await assert.rejects(compare("raw", { stop: AbortSignal.abort() }, host), /it was stopped/);
  });

  it("are given up where nothing was read for so long, and not before", async () => {
    const still = saying("while echo at 1; do read -r answer || exit; sleep 0.02; done");
    await assert.rejects(compare("raw", { stallSeconds: 0.2 }, still), /nothing was read for 0\.2 s/);
    const moving = saying("for step in 1 2 3 4 5 6 7 8; do echo at $step; read -r answer; sleep 0.05; done; echo ended 0");
    assert.equal(await compare("raw", { stallSeconds: 0.3 }, moving), "same");
  });
});
