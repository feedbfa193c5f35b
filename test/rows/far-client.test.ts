/** A client far away: how long a guest waits in a switch has nothing to do with it. */

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { Stage } from "../storage-migration/stage.js";

const oneWayMs = 150;

/** Passes on each piece after so long, in both directions. */
async function farAway(port: number): Promise<net.Server> {
  const server = net.createServer((near) => {
    const far = net.connect(port, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true);
      from.on("data", (piece) => setTimeout(() => to.write(piece), oneWayMs));
      from.on("close", () => setTimeout(() => to.destroy(), oneWayMs));
      from.on("error", () => {});
    }
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return server;
}

describe("a client 150 ms away from the host", function () {
  this.timeout(240_000);

  it("has its guest wait for less than two round trips in the switch", async () => {
    await using stage = await Stage.open();
    const server = await farAway(stage.sandbox.sshd.port);
    try {
      const { port } = server.address() as net.AddressInfo;
      const host = { ...stage.sandbox.host, port };
      const { vda } = await stage.moves({ host });
      assert.equal(vda?.phase, "settled");
      assert(vda.pauseMs !== undefined && vda.pauseMs < 4 * oneWayMs, `it waited for ${vda.pauseMs} ms`);
      await stage.guest.waitForRecords(5);
    } finally {
      server.close();
    }
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2", "old.qcow2"));
  });
});
