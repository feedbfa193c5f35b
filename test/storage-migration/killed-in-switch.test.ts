/** The program on the host is killed after the rename that decides: what 0.1.0 did right too (the other places are in test/rows/cut-together.test.ts). */

import { readlinkSync } from "node:fs";
import { killedIn } from "../rows/killed-in-switch.js";

describe("a move whose program on the host is killed in the switch", function () {
  this.timeout(300_000);

  killedIn([
    {
      title: "after the link",
      through: "link",
      side: "path2",
      isThere: ({ stage }) => readlinkSync(stage.at("link")) === stage.at("path2"),
    },
  ]);
});
