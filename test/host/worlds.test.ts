/** Two machines in one process: each has a world, and knows nothing of the other's. */

import assert from "node:assert/strict";
import { connectHost, Hosts } from "../../provider/host/connection.js";
import type { Host } from "../../provider/host/host.js";
import { OwnProcess } from "../../provider/host/own-process.js";
import { hostArgs } from "../../provider/host/target.js";
import { holderIs, newHolder } from "../../provider/journal/holder.js";
import { DiskOwners } from "../../provider/reconciler/disk-owners.js";
import { HandWorld } from "../world.js";

/** A process of a machine that there is not. */
class Elsewhere extends OwnProcess {
  constructor(readonly machine: string) {
    super();
  }

  override identity() {
    return { machine: this.machine, pid: 7, born: "1", name: this.machine };
  }

  override fateOf({ machine, pid }: { machine: string; pid: number }) {
    if (machine !== this.machine) return "perhaps";
    return pid === 7 ? "alive" : "gone";
  }
}

/** All hosts are this one. */
class OneHost extends Hosts {
  constructor(readonly host: Host) {
    super();
  }

  override async connect(): Promise<Host> {
    return this.host;
  }
}

function machine(name: string): HandWorld {
  const world = new HandWorld();
  world.put(OwnProcess, new Elsewhere(name));
  return world;
}

describe("two machines in one process", () => {
  const [one, other] = [machine("runner-1"), machine("runner-2")];

  it("know of their own processes, and of no other's", () => {
    const holder = newHolder(one);
    assert.equal(holder.name, "runner-1");
    assert.deepEqual([holderIs(one, holder), holderIs(one, { ...holder, pid: 8 }), holderIs(other, holder)], ["alive", "gone", "perhaps"]);
  });

  it("own the same disk by different resources: between processes it is the lock that keeps them apart", () => {
    one.one(DiskOwners).acquire("domain", "vda", { urn: "urn:first", disk: "vda" });
    other.one(DiskOwners).acquire("domain", "vda", { urn: "urn:second", disk: "vda" });
    assert.throws(() => one.one(DiskOwners).acquire("domain", "vda", { urn: "urn:second", disk: "vda" }));
  });

  it("connect hosts of their own", async () => {
    const args = hostArgs.parse({ address: "db-3", user: "deploy" });
    const [mine, theirs] = [{ name: "mine" } as Host, { name: "theirs" } as Host]; // nothing is asked of them
    one.put(Hosts, new OneHost(mine));
    other.put(Hosts, new OneHost(theirs));
    assert.equal(await connectHost(args, {}, { world: one }), mine);
    assert.equal(await connectHost(args, {}, { world: other }), theirs);
  });

  it("have clocks of their own", async () => {
    await one.pass(60);
    assert.deepEqual([one.clock(), other.clock()], [60, 0]);
  });
});
