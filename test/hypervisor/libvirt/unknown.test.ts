/** What libvirt refuses to tell, or tells in words that we do not know, is never taken for "there is none". */

import assert from "node:assert/strict";
import type { Job } from "../../../provider/core/disk/job.js";
import { isKind } from "../../../provider/core/errors.js";
import type { Guest } from "../../../provider/hypervisor/hypervisor.js";
import { blockersIn } from "../../../provider/hypervisor/libvirt/blockers.js";
import { readDomain } from "../../../provider/hypervisor/libvirt/domain-xml.js";
import { guestOf } from "../../../provider/hypervisor/libvirt/guest.js";
import { see } from "../../../provider/hypervisor/libvirt/look.js";
import { blockJobIn } from "../../../provider/hypervisor/libvirt/progress.js";
import { viewOf } from "../../../provider/hypervisor/libvirt/view.js";
import { virshAt } from "../../../provider/hypervisor/libvirt/virsh.js";
import { LocalHost } from "../qemu/local-host.js";
import { type Answers, ScriptedDomain, ScriptedVirsh } from "./scripted-virsh.js";

const uuid = "11111111-2222-3333-4444-555555555555";
const mirror = "<mirror type='file' job='copy'><source file='/b/top'/></mirror>";
const xml = (disks: string) => `<domain id='1'><name>web</name><uuid>${uuid}</uuid><devices>${disks}</devices></domain>`;
const vda = (more = "") => `<disk type='file'><driver type='qcow2'/><source file='/a/top'/>${more}<target dev='vda'/></disk>`;
const refused = { refused: "Timed out during operation: cannot acquire state change lock" };
const restless: Answers = {
  "snapshot-list": "\n",
  "checkpoint-list": "\n",
  blockjob: "",
  domjobinfo: "Job type:         None\n\n",
};

function managed(answers: Answers, disks = vda()): Guest {
  const live = readDomain(xml(disks));
  const view = viewOf({ live, persistent: live, state: "running", headers: new Map(), progress: new Map() });
  return guestOf(new ScriptedDomain(new ScriptedVirsh(answers), { live, view }));
}

const says =
  (...words: RegExp[]) =>
  (thrown: unknown) =>
    isKind(thrown, "user") && words.every((each) => each.test(thrown.message));

describe("what a domain would lose by a move", () => {
  it("is nothing where libvirt lists nothing", async () => {
    assert.deepEqual(await managed(restless).burdens("vda"), { snapshots: [], checkpoints: [], jobs: [], forbids: [] });
  });

  for (const [question, what] of [
    ["snapshot-list", "the snapshots"],
    ["checkpoint-list", "the checkpoints"],
    ["blockjob", "the jobs on vda"],
    ["domjobinfo", "the job"],
  ] as const)
    it(`is not known where libvirt refuses ${question}, and then the move is refused in words`, async () => {
      const guest = managed({ ...restless, [question]: refused });
      const sentence = new RegExp(`Unable to ask libvirt on db-3 for ${what} of web: .*state change lock.*Nothing was touched\\. Look at`);
      await assert.rejects(guest.burdens("vda"), says(sentence));
    });

  it("has no checkpoints where libvirt is too old to know any", async () => {
    for (const words of [
      "this function is not supported by the connection driver: virDomainListAllCheckpoints",
      "unknown command: 'checkpoint-list'",
      "unknown procedure: 412",
    ])
      assert.deepEqual((await managed({ ...restless, "checkpoint-list": { refused: words } }).burdens("vda")).checkpoints, [], words);
  });

  it("is not known where the answer about jobs has no type", async () => {
    await assert.rejects(managed({ ...restless, domjobinfo: "" }).burdens("vda"), says(/the job of web: its answer is not one/));
    await assert.rejects(managed({ ...restless, blockjob: " cur=1\n" }).burdens("vda"), says(/the jobs on vda.*its answer is not one/));
  });

  it("is not known of a disk that the domain has lost", async () => {
    await assert.rejects(managed(restless, "").burdens("vda"), says(/the definition of vda of web: it has no such disk any more/));
  });

  it("names the jobs that libvirt tells of", async () => {
    const busy = {
      ...restless,
      blockjob: " type=Block Pull\n bandwidth=0\n cur=1\n end=2\n",
      domjobinfo: "Job type:         Unbounded   \n",
    };
    assert.deepEqual((await managed(busy).burdens("vda")).jobs, ["Block Pull", "Unbounded"]);
  });
});

describe("the persistent definition of a disk", () => {
  const source = { path: "/b/top", format: "qcow2" };

  it("that libvirt does not tell is an error, so that it is not left behind", async () => {
    const guest = managed({ "dumpxml --inactive": refused });
    await assert.rejects(guest.redefine("vda", source), says(/read the persistent definition of vda of web on db-3: .*state change lock/));
  });

  it("that has lost the disk is an error, too", async () => {
    const guest = managed({ "dumpxml --inactive": xml("") });
    await assert.rejects(guest.redefine("vda", source), says(/it has no such disk with a file any more/));
  });

  it("that gives the image to another disk is left alone, so that no image is two disks", async () => {
    const other = vda()
      .replaceAll("vda", "vdb")
      .replace(/file='[^']*'/, "file='/b/top'");
    const guest = managed({ "dumpxml --inactive": xml(vda() + other) });
    await assert.rejects(guest.redefine("vda", source), says(/redefine vda of web on db-3: its image \/b\/top is that of vdb there/));
  });
});

describe("how far a job of libvirt's is", () => {
  const pullOf = async (answer: string): Promise<Partial<Job> | undefined> =>
    (await managed({ blockjob: answer }).lookForPull("vda")).jobs[0];

  it("is told in bytes", async () => {
    const { currentProgress, totalProgress } = (await pullOf(" type=Block Pull\n bandwidth=0\n cur=3\n end=4\n")) ?? {};
    assert.deepEqual([currentProgress, totalProgress], [3, 4]);
  });

  it("is not known where the answer has no figures, and there is a job all the same", async () => {
    const job = await pullOf(" type=Block Pull\n cur=much\n end=4\n");
    assert.deepEqual([job?.type, job?.currentProgress, job?.totalProgress], ["stream", undefined, undefined]);
  });

  it("is nothing where virsh answers with nothing", async () => {
    assert.deepEqual(blockJobIn("\n"), { kind: "none" });
    assert.equal(await pullOf(""), undefined);
  });

  it("is an error where the answer does not name a type", async () => {
    await assert.rejects(pullOf("bandwidth=0\n"), says(/look at the jobs of vda.*its answer is not one/));
  });

  it("is not known in a view of a copy whose progress was not told", () => {
    const live = readDomain(xml(vda(mirror)));
    const [job] = viewOf({ live, persistent: live, state: "running", headers: new Map(), progress: new Map() }).jobs;
    assert.deepEqual([job?.status, job?.currentProgress, job?.totalProgress], ["running", undefined, undefined]);
  });
});

describe("a look at a domain", () => {
  const known: Answers = {
    "list --all --name": ` ${uuid}   web\n`.trimStart(),
    "list --all --persistent": `${uuid}\n`,
    "domstate --domain": "running\n",
    "dumpxml --domain": xml(""),
    "dumpxml --inactive": xml(""),
  };

  it("shows its state", async () => {
    assert.equal((await see(new ScriptedVirsh(known), "web")).view.status, "running");
  });

  for (const question of ["domstate --domain", "dumpxml --domain", "dumpxml --inactive"])
    it(`is refused where libvirt refuses ${question}`, async () => {
      const looking = see(new ScriptedVirsh({ ...known, [question]: refused }), "web");
      await assert.rejects(looking, says(/look at the domain "web" on db-3: .*state change lock.*Look at libvirtd's log/));
    });
});

describe("the state of a domain", () => {
  it("that cannot be read is in the way of a job", () => {
    for (const state of ["", "running", "something"])
      assert.match(blockersIn(state, "Job type:         None\n")[0]?.why ?? "", /its state cannot be read/, state);
  });

  it("whose jobs cannot be read is in the way of a job", () => {
    assert.match(blockersIn("running (booted)\n", "")[0]?.why ?? "", /its jobs cannot be read/);
  });
});

describe("a backing store without a format", () => {
  it("leaves the chain to the headers", () => {
    const below = "<backingStore type='file'><source file='/a/base'/><backingStore/></backingStore>";
    assert.equal(readDomain(xml(vda(below))).disks[0]?.below, undefined);
  });
});

describe("hosts that do not tell who they are", () => {
  it("have a virsh each", async () => {
    const silent = () => Object.assign(new LocalHost(), { run: async () => ({ exitStatus: 1, stdout: "", stderr: "" }) });
    const [one, other] = [silent(), silent()];
    assert.notEqual(await virshAt(one, "qemu:///system"), await virshAt(other, "qemu:///system"));
    assert.equal(await virshAt(one, "qemu:///system"), await virshAt(one, "qemu:///system"));
  });
});
