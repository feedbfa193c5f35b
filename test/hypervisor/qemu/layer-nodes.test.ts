/** The layers of a node: by the graph, and as they are open. */

import assert from "node:assert/strict";
import { chainOf, layerNodes } from "../../../provider/hypervisor/qemu/layer-nodes.js";
import type { GraphReply, ImageReply, NodeReply } from "../../../provider/hypervisor/qemu/replies.js";

function node(name: string, drv: string, image: Partial<ImageReply> = {}): NodeReply {
  const whole: ImageReply = { filename: `/srv/${name}`, format: drv, "virtual-size": 1024, ...image };
  const cache = { direct: false, "no-flush": false };
  return { "node-name": name, drv, file: whole.filename, ro: false, encrypted: false, detect_zeroes: "off", cache, image: whole };
}

const nodes = [node("limit", "throttle"), node("top", "qcow2"), node("cor", "copy-on-read"), node("base", "raw"), node("top-file", "file")];

/** throttle → top → copy-on-read → base; `top` has its file below it, too. */
const graph: GraphReply = {
  nodes: ["limit", "top", "cor", "base", "top-file"].map((name, id) => ({ id, type: "block-driver", name })),
  edges: [
    { parent: 0, child: 1, name: "file" },
    { parent: 1, child: 4, name: "file" },
    { parent: 1, child: 2, name: "backing" },
    { parent: 2, child: 3, name: "file" },
  ],
};

describe("the nodes of a chain", () => {
  it("are its layers from the top down, without filters and without the files of images", () => {
    assert.deepEqual(layerNodes("limit", graph, nodes), ["top", "base"]);
  });

  it("begin at the node that is asked for", () => assert.deepEqual(layerNodes("base", graph, nodes), ["base"]));

  it("are none where there is no such node", () => assert.deepEqual(layerNodes("gone", graph, nodes), []));

  it("end where a graph leads back to itself", () => {
    const round = { ...graph, edges: [...graph.edges, { parent: 3, child: 1, name: "backing" }] };
    assert.deepEqual(layerNodes("top", round, nodes), ["top", "base"]);
  });
});

describe("the chain that a node has open", () => {
  const below: ImageReply = { filename: "/srv/base.raw", format: "raw", "virtual-size": 1024 };

  it("is each layer's file and format, from its top down, without filters", () => {
    const filtered: ImageReply = { filename: "/srv/base.raw", format: "copy-on-read", "virtual-size": 1024, "backing-image": below };
    const top = node("top", "qcow2", { "backing-image": filtered });
    const chain = [
      { path: "/srv/top", format: "qcow2" },
      { path: "/srv/base.raw", format: "raw" },
    ];
    assert.deepEqual(chainOf("top", [node("other", "qcow2"), top]), chain);
  });

  it("is told by the file in a json: name, and by the name itself where there is none", () => {
    const options = { driver: "qcow2", file: { driver: "file", filename: "/srv/a" } };
    const nbd: ImageReply = { filename: "nbd://far/x", format: "raw", "virtual-size": 1 };
    const top = node("top", "qcow2", { filename: `json:${JSON.stringify(options)}`, "backing-image": nbd });
    assert.deepEqual(
      chainOf("top", [top]).map(({ path }) => path),
      ["/srv/a", "nbd://far/x"],
    );
  });

  it("is empty where there is no such node", () => assert.deepEqual(chainOf("gone", nodes), []));
});
