/** Where a commit and a pull find the node of a layer, and when they begin nothing. */

import assert from "node:assert/strict";
import { diskKey } from "../../../provider/core/disk/names.js";
import type { ChainsView, NodeView } from "../../../provider/hypervisor/hypervisor.js";
import { QmpRefusal } from "../../../provider/hypervisor/qemu/refusal.js";
import { Unable } from "../../../provider/hypervisor/unable.js";
import { type Answers, emptyView, notingGuest } from "../../flows/move/noting-guest.js";

const disk = { key: diskKey("domain", "vda"), qdev: "vda" };
const down = { top: { node: "top", path: "/a/top" }, base: { depth: 1, path: "/a/base" }, maxBytesPerSecond: 0 };

function seen(nodes: readonly NodeView[], files = ["/a/top", "/a/base"]): ChainsView {
  const [active = "", ...below] = files;
  const layer = (file: string) => ({ path: file, format: "qcow2", virtualBytes: 1, allocatedBytes: 1 });
  const medium = {
    ...({ kind: "image", readOnly: false, rootNode: "top", activeNode: "top", detectZeroes: "off" } as const),
    ...{ chain: [layer(active), ...below.map(layer)] as const, cache: { direct: false, noFlush: false } },
    ...{ creation: { format: "qcow2", options: {} }, dirtyBitmaps: [], persistentBitmaps: [], internalSnapshots: [] },
  };
  return { ...emptyView, disks: [{ qdev: "vda", names: ["vda"], medium }], nodes };
}

const node = (name: string, file: string) => ({ name, driver: "qcow2", file });
const top = node("top", "/a/top");
const base = node("#block1", "/a/base");

async function committed(view: ChainsView, answers: Answers = {}): Promise<string[]> {
  const { guest, asked } = notingGuest({ lookAtChains: () => view, ...answers });
  await guest.commit(disk, down);
  return asked.filter((line) => line.startsWith("startCommit"));
}

const unable = (why: RegExp) => (thrown: unknown) => thrown instanceof Unable && why.test(thrown.message);

describe("the node that a commit goes down into", () => {
  it("is the layer's own, by its file", async () => {
    assert.match(String(await committed(seen([top, base]))), /"base":"#block1"/);
  });

  it("is the one of the graph where its file is open twice", async () => {
    const twice = seen([node("theirs", "/a/base"), top, base]);
    assert.match(String(await committed(twice, { layerNodes: () => ["top", "#block1"] })), /"base":"#block1"/);
  });

  it("is not guessed where its file is open twice and QEMU does not tell its graph", async () => {
    const refused = () =>
      Promise.reject(new QmpRefusal("x-debug-query-block-graph", "GenericError", "unstable", { monitor: "m", arguments: "" }));
    await assert.rejects(
      committed(seen([node("theirs", "/a/base"), top, base]), { layerNodes: refused }),
      unable(/QEMU does not tell which of its nodes \/a\/base is\. Restart the guest/),
    );
  });

  for (const [what, files] of [
    ["another layer came between", ["/a/top", "/a/theirs", "/a/base"]],
    ["another image is active", ["/a/theirs", "/a/base"]],
  ] as const)
    it(`is looked for in vain where ${what} since the chain was seen`, async () => {
      await assert.rejects(committed(seen([top, base], [...files])), unable(/is no longer where it was in its chain/));
    });
});
