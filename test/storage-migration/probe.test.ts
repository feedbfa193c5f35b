/** A connection that is lost while QEMU is asked whether it can write at the destination: whether it has a file open there is not known. */

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { onStage, Recorder } from "./stage.js";

describe("a move that is cut off while QEMU opens its probe", function () {
  this.timeout(180_000);
  const stage = onStage();
  let proxy: QmpProxy;
  before(async () => {
    const answered = () => {
      proxy.cutAll();
      return "drop" as const;
    };
    proxy = await QmpProxy.listen(stage().at("proxy.sock"), stage().guest.qmpSocket, { before: () => "forward", answered });
  });
  after(() => proxy.close());

  const nodes = async () =>
    ((await stage().operator.execute("query-named-block-nodes")) as { "node-name": string }[]).map((node) => node["node-name"]).sort();

  it("is known to the next run, and nothing of it is left once it is undone", async () => {
    const [nodesBefore, filesBefore] = [await nodes(), await readdir(stage().at("path1"))];
    proxy.before("blockdev-add", () => "withhold");
    const cut: unknown = await stage()
      .moves({ domain: { qmp: proxy.path } })
      .catch((reason: unknown) => reason);
    assert(cut instanceof Unfinished, String(cut));
    assert.match((await nodes()).join(), /lm-[0-9a-f]{8}-probe/);
    await storageMigration.delete(cut.id, cut.outputs, new Recorder());
    assert.deepEqual(await nodes(), nodesBefore);
    assert.deepEqual([await readdir(stage().at("path1")), await readdir(stage().at("path2"))], [filesBefore, []]);
  });
});
