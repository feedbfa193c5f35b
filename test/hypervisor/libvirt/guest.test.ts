/** What a guest of libvirt's is asked and told by virsh, and what its answers mean. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { diskKey, jobNames } from "../../../provider/core/disk/names.js";
import { isKind } from "../../../provider/core/errors.js";
import { DomainMissing, type Guest } from "../../../provider/hypervisor/hypervisor.js";
import { Domain } from "../../../provider/hypervisor/libvirt/domain.js";
import { openGuest } from "../../../provider/hypervisor/libvirt/guest.js";
import { type Carrier, carrierOf } from "../../../provider/hypervisor/libvirt/switching.js";
import { thisWorld } from "../../world.js";
import { VirshProgram } from "./virsh-program.js";

const uuid = "11111111-2222-4333-8444-555555555555";
const other = "22222222-2222-4333-8444-555555555555";
const key = diskKey(uuid, "vda");
const looks = ["list ", "domstate --domain", "dumpxml --domain", "dumpxml --inactive --domain"];

interface Shown {
  mirror?: string;
  more?: string;
  disk?: string;
  id?: string;
  name?: string;
}

const vda = { key, qdev: "vda" };
const openness = { cache: { direct: false, noFlush: false }, detectZeroes: "off" } as const;
const down = { top: { node: "vda", path: "/t" }, base: { depth: 1, path: "/b" } };
const freezing = (file: string) => ({ qdev: "vda", activeNode: "vda", ...openness, overlay: { node: "n", path: file } });
const refused = (pattern: RegExp) => (thrown: unknown) => isKind(thrown, "user") && pattern.test(thrown.message);

describe("a guest of libvirt's", () => {
  let virsh: VirshProgram;
  let guest: Guest;
  let carrier: Carrier;
  let disk: string;
  let count = 0;

  const xml = ({ mirror = "", more = "", disk: about = "", id = " id='3'", name = "web" }: Shown = {}, domain = uuid) =>
    `<domain type='kvm'${id}><name>${name}</name><uuid>${domain}</uuid>${more}<devices><disk type='file' device='disk'>` +
    `<driver name='qemu' type='raw'/><source file='${disk}'/><backingStore/>${mirror}<target dev='vda' bus='virtio'/>${about}</disk></devices></domain>`;

  /** Asked of by name and by UUID. */
  const shows = async (shown: Shown = {}, inactive: Shown = { ...shown, id: "", mirror: "" }) => {
    await virsh.answer("dumpxml", xml(shown));
    await virsh.answer("dumpxml --inactive", xml(inactive));
  };

  beforeEach(async () => {
    virsh = await VirshProgram.make();
    disk = path.join(virsh.folder, "disk.raw");
    await writeFile(disk, "x".repeat(4096));
    await virsh.answers({
      "list --all --name --uuid": `${uuid} web\n${other} db\n`,
      "list --all --persistent --uuid": `${uuid}\n`,
      "domstate --domain": "running\n",
      "blockjob --raw": "",
    });
    await shows();
    // each test has a virsh of its own
    guest = openGuest(virsh.host, { libvirt: "web", uri: `test:///${++count}` });
    carrier = carrierOf(new Domain(virsh.host, { libvirt: "web", uri: `test:///${count}` }));
  });
  afterEach(() => virsh[Symbol.asyncDispose]());

  const told = async (...but: string[]) => virsh.asked(...looks, ...but);

  it("is seen by its running definition, and where its next start finds the disk by its persistent one", async () => {
    const { domainId, status, disks, jobs } = await guest.look();
    assert.deepEqual([domainId, status, jobs], [uuid, "running", []]);
    const medium = disks[0]?.medium;
    assert(medium?.kind === "image");
    assert.deepEqual([medium.chain[0].path, medium.chain[0].format, medium.definedAt], [disk, "raw", disk]);
  });

  it("that is not persistent has no place where its next start finds the disk", async () => {
    await virsh.answer("list --all --persistent --uuid", "");
    const medium = (await guest.look()).disks[0]?.medium;
    assert(medium?.kind === "image" && medium.definedAt === undefined);
  });

  it("is missing where the host has no domain of that name, and refused where it has", async () => {
    await virsh.answer("dumpxml", "error: failed to get domain\n");
    await assert.rejects(guest.look(), refused(/Unable to look at the domain "web" on here: libvirt answers "failed to get domain"/));
    await virsh.answer("list --all --name --uuid", `${other} db\n`);
    await assert.rejects(guest.look(), (thrown) => thrown instanceof DomainMissing && /no domain "web" at test/.test(thrown.message));
  });

  it("is not known where the list of domains is refused", async () => {
    await virsh.answer("list --all --name --uuid", "error: failed to connect\n");
    await assert.rejects(guest.look(), (thrown) => isKind(thrown, "unreachable") && thrown.message.includes("failed to connect"));
  });

  it("is asked once by all that look at the same time", async () => {
    await Promise.all([guest.look(), guest.look(), guest.jobs()]);
    assert.equal((await virsh.asked()).filter((line) => line.startsWith("dumpxml --domain")).length, 1);
    await guest.look();
    assert.equal((await virsh.asked()).filter((line) => line.startsWith("dumpxml --domain")).length, 1);
  });

  for (const [ready, status] of [
    ["", "running"],
    [" ready='yes'", "ready"],
    [" ready='pivot'", "waiting"],
    [" ready='abort'", "waiting"],
  ] as const)
    it(`with a copy that libvirt calls${ready || " nothing"} has a mirror that is ${status}, and how far it is`, async () => {
      await shows({ mirror: `<mirror type='file' job='copy'${ready}><source file='/d/disk.raw'/></mirror>` });
      await virsh.answer("blockjob --raw", " type=Block Copy\n bandwidth=0\n cur=7\n end=9\n");
      const [job] = (await guest.look()).jobs;
      assert.deepEqual(job, {
        ...{
          id: jobNames.mirror(key),
          type: "mirror",
          status,
          currentProgress: 7,
          totalProgress: 9,
          ioStatus: "ok",
          target: "/d/disk.raw",
        },
      });
    });

  it("with an active commit has a commit, and with a copy of bitmaps none of ours", async () => {
    await shows({ mirror: "<mirror type='file' job='active-commit' ready='yes'><source file='/d/base'/></mirror>" });
    assert.deepEqual(
      (await guest.look()).jobs.map(({ id, type }) => [id, type]),
      [[jobNames.commit(key), "commit"]],
    );
    await shows({ mirror: "<mirror type='file' job='backup' ready='yes'><source file='/d/base'/></mirror>" });
    assert.deepEqual((await guest.look()).jobs, []);
  });

  it("without a copy is not asked how far one is", async () => {
    await guest.look();
    assert.deepEqual(await told(), []);
  });

  describe("has blockers:", () => {
    const blockers = async (state: string, job: string, shown: Shown = {}) => {
      await virsh.answers({ "domstate --reason": state, domjobinfo: job });
      await shows(shown);
      return guest.blockers(["vda"]);
    };

    it("none where it runs without a job", async () => {
      assert.deepEqual(await blockers("running (booted)\n", "Job type:         None\n"), []);
    });

    it("a migration, a job, and sharing", async () => {
      assert.match(
        JSON.stringify(await blockers("running (booted)", "Job type: Bounded\nOperation: Outgoing migration\n")),
        /Outgoing migration/,
      );
      assert.match(JSON.stringify(await blockers("paused (migrating)", "Job type: Unbounded\n")), /is being migrated/);
      const shared = await blockers("running (booted)", "Job type: None\n", { disk: "<shareable/>" });
      assert.deepEqual(
        shared.map(({ concerns, qdev }) => [concerns, qdev]),
        [["sharing", "vda"]],
      );
    });

    it("no question about jobs is missed where it is shut off, and else a refusal is told", async () => {
      assert.deepEqual(await blockers("shut off (destroyed)\n", "error: domain is not running\n", { id: "" }), []);
      await assert.rejects(
        blockers("running (booted)", "error: timed out\n"),
        refused(/Unable to ask for the jobs of web on here: .*"timed out"/),
      );
      await assert.rejects(blockers("error: lost\n", "Job type: None\n"), refused(/Unable to ask for the state of web/));
      await virsh.answer("dumpxml", "error: gone\n");
      await virsh.answer("domstate --reason", "running (booted)\n");
      await assert.rejects(guest.blockers(["vda"]), refused(/Unable to ask for the definition of web/));
    });
  });

  it("has the serial numbers of its disks", async () => {
    await shows({ disk: "<serial>S1</serial>" });
    assert.deepEqual(await guest.serials(["vda", "vdb"]), ["S1", undefined]);
  });

  it("ends its own job, and no other of the disk", async () => {
    const mirror = "<mirror type='file' job='copy' ready='yes'><source file='/d/disk.raw'/></mirror>";
    await guest.cancel(jobNames.mirror(key));
    await guest.cancel(jobNames.mirror("nobody"));
    assert.deepEqual(await told("blockjob --raw"), []);
    await shows({ mirror });
    await guest.cancel(jobNames.commit(key));
    assert.deepEqual(await told("blockjob --raw"), []);
    await virsh.answer("blockjob --abort", "");
    await guest.cancel(jobNames.mirror(key));
    assert.deepEqual(await told("blockjob --raw"), [`blockjob --abort '${uuid}' 'vda'`]);
    await virsh.answer("blockjob --abort", "error: busy\n");
    await assert.rejects(
      guest.cancel(jobNames.mirror(key)),
      refused(/Unable to end the job on vda of web on here: libvirt answers "busy"/),
    );
  });

  it("ends a pull, which only the question for it tells", async () => {
    await virsh.answers({ "blockjob --raw": " type=Block Pull\n cur=1\n end=2\n", "blockjob --abort": "" });
    await guest.cancel(jobNames.blockpull(key));
    assert.deepEqual(await told("blockjob --raw"), [`blockjob --abort '${uuid}' 'vda'`]);
  });

  it("is told the speed of its job", async () => {
    await virsh.answer("blockjob --bytes", "");
    await guest.setSpeed(jobNames.mirror(key), 42);
    await guest.setSpeed(jobNames.mirror("nobody"), 42);
    assert.deepEqual(await told(), [`blockjob --bytes --bandwidth 42 '${uuid}' 'vda'`]);
  });

  it("has no nodes and no jobs that wait for somebody", async () => {
    assert.deepEqual([guest.graph, guest.pending], [undefined, undefined]);
    for (const step of ["finalize", "resume", "dismiss"] as const) await guest[step]("x");
    assert.deepEqual(await guest.closeNodes(["x"]), []);
  });

  describe("begins a copy", () => {
    const copy = (below: { path: string; format: string }[], copyMode: "background" | "write-blocking", maxBytesPerSecond = 0) =>
      guest.mirror(
        vda,
        { node: "n", chain: [{ path: "/d/disk", format: "qcow2" }, ...below], ...openness },
        { source: "vda", sync: "top", copyMode, maxBytesPerSecond },
      );
    beforeEach(() => virsh.answer("blockcopy", ""));

    it("whole where nothing lies below", async () => {
      await copy([], "background");
      const [line, ...more] = await told();
      assert.match(line ?? "", new RegExp(`^blockcopy --transient-job --buf-size ${4 * 2 ** 20} '${uuid}' 'vda' '--xml' '/`));
      assert.deepEqual(more, []);
    });

    it("of the top alone where the rest is copied, with what each write waits for and the speed", async () => {
      await copy([{ path: "/d/base", format: "raw" }], "write-blocking", 5);
      const [line] = await told();
      assert.match(line ?? "", /^blockcopy --shallow --transient-job --synchronous-writes --buf-size 1048576 --bytes --bandwidth 5 /);
    });

    it("from a file that is gone afterwards, also where libvirt refuses", async () => {
      await copy([], "background");
      await virsh.answer("blockcopy", "error: no room\n");
      await assert.rejects(copy([], "background"), refused(/Unable to start the copy of vda on here: libvirt answers "no room"/));
      const files = (await told()).map((line) => /'(\/[^']*livedisk-[^']*)'$/.exec(line)?.[1] ?? assert.fail(line));
      assert.equal(files.length, 2);
      const { existsSync } = await import("node:fs");
      assert.deepEqual(
        files.filter((file) => existsSync(file)),
        [],
      );
    });
  });

  it("freezes the disks that are named, and leaves each other as it is", async () => {
    const second = `<disk type='file'><driver type='raw'/><source file='${disk}'/><target dev='vdb'/></disk></devices>`;
    await virsh.answer("dumpxml", xml().replace("</devices>", second));
    await virsh.answer("snapshot-create-as", "");
    await guest.freeze([freezing("/a,b")]);
    assert.deepEqual(await told(), [
      `snapshot-create-as --disk-only --atomic --no-metadata --reuse-external '${uuid}' ` +
        "'--diskspec' 'vda,snapshot=external,driver=qcow2,stype=file,file=/a,,b' '--diskspec' 'vdb,snapshot=no'",
    ]);
    await virsh.answer("snapshot-create-as", "error: op blocked\n");
    await assert.rejects(guest.freeze([freezing("/a")]), refused(/Unable to freeze vda on here: .*op blocked/));
  });

  it("commits from the overlay down to the named base, and no further", async () => {
    await virsh.answer("blockcommit", "");
    await guest.commit(vda, { ...down, maxBytesPerSecond: 0 });
    await guest.commit(vda, { ...down, maxBytesPerSecond: 9 });
    assert.deepEqual(await told(), [
      `blockcommit --active '${uuid}' 'vda' '--base' '/b' '--top' '/t'`,
      `blockcommit --active --bytes --bandwidth 9 '${uuid}' 'vda' '--base' '/b' '--top' '/t'`,
    ]);
  });

  it("pulls with a relative name where libvirt keeps it, else with the full one, and says which", async () => {
    await virsh.answer("blockpull", "");
    assert.equal(await guest.pull(vda, { ...down, maxBytesPerSecond: 0 }), "as-asked");
    await virsh.answer("blockpull --keep-relative", "error: invalid\n");
    assert.equal(await guest.pull(vda, { ...down, maxBytesPerSecond: 0 }), "absolute");
    assert.equal(await guest.pull(vda, { top: down.top, maxBytesPerSecond: 3 }), "absolute");
    const base = `'${uuid}' 'vda' '--base' '/b'`;
    assert.deepEqual(await told(), [
      ...[`blockpull --keep-relative ${base}`, `blockpull --keep-relative ${base}`, `blockpull ${base}`],
      `blockpull --bytes --bandwidth 3 '${uuid}' 'vda'`,
    ]);
    await virsh.answer("blockpull", "error: busy\n");
    await assert.rejects(
      guest.pull(vda, { top: down.top, maxBytesPerSecond: 0 }),
      refused(/Unable to start the pull of vda on here: .*busy/),
    );
  });

  it("has a pull where the question for it tells, and none where it is another job, or is shut off", async () => {
    const jobs = async () => (await guest.lookForPull("vda")).jobs.map(({ id, status }) => [id, status]);
    await virsh.answer("blockjob --raw", " type=Block Pull\n cur=1\n end=2\n");
    assert.deepEqual(await jobs(), [[jobNames.blockpull(key), "running"]]);
    await virsh.answer("blockjob --raw", " type=Block Commit\n cur=1\n end=2\n");
    assert.deepEqual(await jobs(), []);
    await virsh.answer("blockjob --raw", "what\n");
    await assert.rejects(jobs(), refused(/Unable to look at the jobs of vda on here: its answer is not one that this version knows/));
    await shows({ id: "" });
    assert.deepEqual(await jobs(), []);
  });

  it("is looked at again where there is no pull, since one may have ended in between", async () => {
    await guest.lookForPull("vda");
    const order = (await virsh.asked("list ")).map((line) => line.split(" ")[0]);
    assert(order.indexOf("blockjob") < order.lastIndexOf("dumpxml"), order.join());
  });

  it("is defined elsewhere by its persistent definition with another source", async () => {
    await virsh.answer("update-device", "");
    await guest.redefine("vda", { path: "/new", format: "qcow2" });
    const sent = (await told()).filter((line) => !line.startsWith("dumpxml"));
    assert.equal(sent.length, 1);
    assert.match(sent[0] ?? "", new RegExp(`^update-device --config '${uuid}' '/`));
    await assert.rejects(guest.redefine("vdz", { path: "/new", format: "qcow2" }), refused(/it has no such disk with a file any more/));
  });

  it("says what burdens its disk", async () => {
    await virsh.answers({ "snapshot-list": "s1\n\n", "checkpoint-list": "c1\n", domjobinfo: "Job type:  None\n" });
    assert.deepEqual(await guest.burdens("vda"), { snapshots: ["s1"], checkpoints: ["c1"], jobs: [], forbids: [] });
    await shows({ disk: "<shareable/><transient/>" });
    await virsh.answers({ "blockjob --raw": " type=Backup\n", "checkpoint-list": "error: unknown command: 'checkpoint-list'\n" });
    const { checkpoints, jobs, forbids } = await guest.burdens("vda");
    assert.deepEqual([checkpoints, jobs, forbids.length], [[], ["Backup"], 2]);
    await assert.rejects(guest.burdens("vdz"), refused(/it has no such disk any more/));
    await virsh.answer("snapshot-list", "error: no\n");
    await assert.rejects(guest.burdens("vda"), refused(/for the snapshots of web: libvirt answers "no". Nothing was touched/));
  });

  it("names the firmware's variables as what stays", async () => {
    assert.deepEqual(await guest.staying(), []);
    await shows({ more: "<os><nvram>/v.fd</nvram></os>" });
    assert.match(String(await guest.staying()), /^\/v\.fd: /);
  });

  it("is found by its UUID, whatever it is called", async () => {
    assert.equal(await guest.nameOf(other), "db");
    assert.equal(await guest.nameOf("33333333-2222-4333-8444-555555555555"), undefined);
  });

  describe("that was left suspended", () => {
    const deadline = () => thisWorld.clock() + 60;
    beforeEach(() => virsh.answers({ domjobinfo: "Job type:         None\n", resume: "", metadata: "" }));
    const sent = () => told("blockjob", "domjobinfo", "domstate");

    it("is resumed until it runs, and then the record ends", async () => {
      await virsh.answer("domstate --reason", "paused (user)\n", "running (unpaused)\n");
      assert.equal(await carrier.letGo(deadline()), "running (unpaused)");
      const [resume, record, ...more] = await sent();
      assert.deepEqual([resume, more], [`resume '${uuid}'`, []]);
      assert.match(record ?? "", /^metadata --live .* --remove /);
    });

    it("is not resumed where it has stopped by itself, and the record ends", async () => {
      await virsh.answer("domstate --reason", "paused (I/O error)\n");
      assert.equal(await carrier.letGo(deadline()), "paused (I/O error)");
      assert.deepEqual(
        (await sent()).map((line) => line.split(" ")[0]),
        ["metadata"],
      );
    });

    it("needs nothing where it is shut off", async () => {
      await virsh.answer("domstate --reason", "shut off (destroyed)\n");
      assert.equal(await carrier.letGo(deadline()), "shut off (destroyed)");
      assert.deepEqual(await sent(), []);
    });

    it("is left to a job that libvirt has on it, up to the deadline", async () => {
      await virsh.answers({ "domstate --reason": "paused (user)\n", domjobinfo: "Job type: Unbounded\n" });
      await assert.rejects(carrier.letGo(thisWorld.clock() - 1), refused(/Unable to resume the guest on here: .*paused \(user\)/));
      assert.deepEqual(await sent(), []);
    });

    it("is not resumed on an answer that may be old: libvirt has not asked QEMU yet", async () => {
      await virsh.answer("blockjob --raw", "error: timed out\n", "");
      await virsh.answer("domstate --reason", "paused (user)\n", "running (unpaused)\n");
      await carrier.letGo(deadline());
      assert.deepEqual(
        (await sent()).map((line) => line.split(" ")[0]),
        ["metadata"],
      );
    });

    it("is told where the record does not end", async () => {
      await virsh.answers({ "domstate --reason": "running (booted)\n", metadata: "error: read-only\n" });
      await assert.rejects(carrier.letGo(deadline()), refused(/libvirt answers "read-only"/));
    });
  });

  describe("for a report", () => {
    const dumps = async () =>
      (await virsh.asked()).filter((line) => line.startsWith("dumpxml --domain")).map((line) => line.split(" ").at(-1));
    const report = (name: string) => {
      const found = openGuest(virsh.host, { libvirt: name, uri: `test:///${count}` }).forReport;
      return found ?? assert.fail();
    };
    beforeEach(async () => {
      await virsh.answer("dumpxml --domain 'db'", xml({ name: "db" }, other));
      await virsh.answer("dumpxml --inactive --domain 'db'", xml({ name: "db", id: "" }, other));
    });

    it("is looked at alone where it is the first, and with all domains where it is the second", async () => {
      await report("web").look();
      assert.deepEqual(await dumps(), ["'web'"]);
      assert.equal((await report("db").look()).domainId, other);
      assert.deepEqual((await dumps()).sort(), ["'db'", "'web'"]);
    });

    it("is answered from that look once, and looked at again the second time", async () => {
      await report("web").look();
      await report("db").look();
      await dumps();
      await report(uuid).look();
      assert.deepEqual(await dumps(), []);
      await report(uuid)
        .look()
        .catch(() => {});
      assert.deepEqual(await dumps(), [`'${uuid}'`]);
    });
  });
});

describe("one virsh", () => {
  it("that says why it ends is told with its words", async () => {
    await using virsh = await VirshProgram.make();
    await writeFile(
      path.join(virsh.folder, "virsh"),
      "#!/bin/sh\necho 'error: failed to connect to the hypervisor'; echo 'no error'; exit 1\n",
    );
    const guest = openGuest(virsh.host, { libvirt: "web", uri: "gone:///" });
    await assert.rejects(
      guest.look(),
      (thrown) =>
        isKind(thrown, "unreachable") &&
        /Unable to ask libvirt at gone:\/\/\/ on here: failed to connect to the hypervisor\. Its state/.test(thrown.message),
    );
  });

  it("that has ended is opened again by the next question", async () => {
    await using virsh = await VirshProgram.make();
    const { readFile } = await import("node:fs/promises");
    const program = await readFile(path.join(virsh.folder, "virsh"), "utf8");
    await writeFile(path.join(virsh.folder, "virsh"), "#!/bin/sh\nexit 1\n");
    const guest = openGuest(virsh.host, { libvirt: "web", uri: "again:///" });
    await assert.rejects(guest.look(), (thrown) => isKind(thrown, "unreachable"));
    await writeFile(path.join(virsh.folder, "virsh"), program);
    await virsh.answers({ "list --all --name --uuid": "", "list --all --persistent --uuid": "" });
    await assert.rejects(guest.look(), (thrown) => thrown instanceof DomainMissing);
  });
});
