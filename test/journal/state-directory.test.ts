/** The host's state directory, as a look takes it, and what lies in it of other guests. */

import assert from "node:assert/strict";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { manifestTextsOf } from "../../provider/journal/manifest-text.js";
import { stateDirectoriesOf } from "../../provider/journal/state-directory.js";
import { scratch, withWorkers } from "../host/worker/harness.js";
import { LocalHost } from "../hypervisor/qemu/local-host.js";
import { refusedFor } from "./lock-scene.js";

describe("the state directory of a host", function () {
  withWorkers(this);
  let host: LocalHost;
  beforeEach(async () => {
    host = new LocalHost();
    host.stateDirectory = path.join(await scratch(), "state");
  });
  const make = async (mode: number) => {
    await mkdir(host.stateDirectory);
    await chmod(host.stateDirectory, mode);
  };

  it("is none where there is none", async () => {
    assert.deepEqual(await stateDirectoriesOf(host), []);
  });

  it("is read where it is the account's own, also with a bit that its parent has given it", async () => {
    await make(0o2700);
    assert.deepEqual(await stateDirectoriesOf(host), [host.stateDirectory]);
  });

  it("is refused where it is the account's own and others may use it", async () => {
    await make(0o750);
    await assert.rejects(stateDirectoriesOf(host), refusedFor(/others may use it, its mode is 750\..*`chmod 0700 .*state`/));
  });

  it("holds manifests of other guests, which nobody else reads, whatever version wrote them", async () => {
    await make(0o700);
    const text = (domainId: string) => JSON.stringify({ version: 2, domainId });
    for (const [key, content] of Object.entries({ aaaaaaaa: text("mine"), bbbbbbbb: text("another's"), cccccccc: "torn {" }))
      await writeFile(path.join(host.stateDirectory, `lm-${key}.manifest.json`), content);
    const found = await manifestTextsOf(host, "mine", []);
    assert.deepEqual(found.map((one) => path.basename(one.path).slice(3, 11)).sort(), ["aaaaaaaa", "cccccccc"]);
  });
});
