/** Many disks of a few guests, read as an engine reads them: what it costs is counted on the host's side. */

import assert from "node:assert/strict";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { gone, type Properties } from "../../provider/core/lifecycle.js";
import { closeAllHosts } from "../../provider/host/connection.js";
import { domainDisk } from "../../provider/resources/domain-disk/lifecycle.js";
import { type HerdGuest, startHerd } from "../sandbox/herd.js";
import { createSandbox, type Sandbox } from "../sandbox/sandbox.js";
import { ShellLog } from "../sandbox/shell-log.js";
import { fewAtATime } from "../sandbox/turns.js";
import { Recorder } from "../storage-migration/stage.js";

const guests = 3;
const disksEach = 20;

const title = `${guests * disksEach} disks of ${guests} guests`;
let log: ShellLog;
let sandbox: Sandbox;
let herd: HerdGuest[];

async function open(): Promise<void> {
  log = await ShellLog.open();
  sandbox = await createSandbox("many-disks", { sshd: { settings: log.settings } });
  sandbox.defer(() => log.remove());
  sandbox.defer(() => closeAllHosts());
  herd = await startHerd(sandbox, { guests, disksEach });
}

const properties = (guest: HerdGuest, disk: string): Properties => {
  const { inputs } = domainDisk.check({}, { host: sandbox.host, domain: { qmp: guest.monitor.path }, disk, storage: guest.folder });
  return inputs;
};
const all = (nameOf: (disk: HerdGuest["disks"][number]) => string) =>
  herd.flatMap((guest) => guest.disks.map((disk) => ({ image: disk.image, bag: properties(guest, nameOf(disk)) })));
const read = async ({ image, bag }: { image: string; bag: Properties }) => {
  const answer = await domainDisk.read("id", bag, new Recorder());
  assert(answer !== gone);
  assert.deepEqual([answer.outputs.bootPath, answer.outputs.phase], [image, "settled"]);
};
const commands = () => herd.flatMap(({ monitor }) => monitor.commands.splice(0).filter((command) => command !== "qmp_capabilities"));

describe(title, function () {
  this.timeout(180_000);

  before(open);
  after(() => sandbox.dispose());
  afterEach(() => closeAllHosts());

  // a real engine reads four at a time for each of its machine's CPUs
  for (const atATime of [8, guests * disksEach])
    it(`are read over one connection, with 4 QMP commands a guest and 5 round trips a guest to one worker, ${atATime} at a time`, async () => {
      commands();
      await log.forget();
      await fewAtATime(
        atATime,
        all(({ id }) => id),
        read,
      );
      const asked = commands();
      const { sessions, runs } = await log.count();
      assert.equal(await sandbox.sshd.connections(), 1);
      assert(asked.length <= 4 * guests, `${asked.length} commands: ${asked.join()}`);
      assert.equal(sessions, 1);
      assert(runs > 0 && runs <= 5 * guests, `${runs} runs`);
    });

  it("cost one more command each where they are named by their serial numbers", async () => {
    commands();
    await fewAtATime(
      8,
      all(({ serial }) => serial),
      read,
    );
    const asked = commands();
    assert(asked.length <= 4 * guests + disksEach * guests, `${asked.length} commands`);
  });

  it("are looked at anew by whoever asks a second time", async () => {
    const [first] = all(({ id }) => id);
    assert(first);
    await read(first);
    commands();
    await read(first);
    assert(commands().includes("query-block"));
  });
});

describe(title, function () {
  this.timeout(180_000);

  before(open);
  after(() => sandbox.dispose());

  it("show at once what this process has moved", async () => {
    const [moved, ...others] = all(({ id }) => id);
    assert(moved);
    const storage = await sandbox.storage("elsewhere");
    const ended = new AbortController();
    const move = domainDisk.create({ ...moved.bag, storage }, new Recorder()).finally(() => ended.abort());
    // others who read all the while keep a look alive that saw the disk before its move
    for (const other of others) {
      if (ended.signal.aborted) break;
      await Promise.race([move, read(other).then(() => pause(250))]);
    }
    await move;
    await read({ image: path.join(storage, path.basename(moved.image)), bag: { ...moved.bag, storage } });
  });
});
