/** What libvirt's words for a domain's state mean for a move. */

import assert from "node:assert/strict";
import { blockersIn, sharingIn } from "../../../provider/hypervisor/libvirt/blockers.js";
import type { DomainXml } from "../../../provider/hypervisor/libvirt/domain-xml.js";
import { blockJobIn } from "../../../provider/hypervisor/libvirt/progress.js";
import { isSuspended, noJob, stoppedByItself } from "../../../provider/hypervisor/libvirt/states.js";
import { command, word } from "../../../provider/hypervisor/libvirt/words.js";

describe("what libvirt says of a domain", () => {
  const none = "Job type:         None\n\n";

  it("is in the way of a job where the guest is on its way to a host or a file", () => {
    for (const state of [
      "paused (starting up)",
      "paused (saving)",
      "paused (dumping)",
      "paused (creating snapshot)",
      "running (post-copy)",
      "paused (post-copy failed)",
    ])
      assert.equal(blockersIn(`${state}\n\n`, none)[0]?.concerns, "guest", state);
    const jobs = ["Job type:         Unbounded   \nOperation:        Outgoing migration\n", "Job type:         Completed   \n", ""];
    for (const job of jobs) assert.equal(blockersIn("paused (migrating)\n\n", job)[0]?.concerns, "guest", job);
    assert.match(blockersIn("shut off (migrated)\n", "")[0]?.advice ?? "", /^Correct `host` and `domain`/);
    assert.match(
      blockersIn("running (booted)\n", "Job type:         Unbounded   \nOperation:        Outgoing migration\n")[0]?.why ?? "",
      /Outgoing migration/,
    );
  });

  it("is not, where it runs or was suspended, wherever it came from", () => {
    for (const state of [
      "running (booted)",
      "running (migrated)",
      "running (restored)",
      "paused (user)",
      "paused (migrating)", // restored paused: it has no job
      "paused (I/O error)",
      "shut off (destroyed)",
    ])
      assert.deepEqual(blockersIn(`${state}\n\n`, none), [], state);
  });
});

describe("a domain that is shared with other guests", () => {
  const domain = (shared: boolean) =>
    ({
      disks: [
        { target: "vda", shared },
        { target: "vdb", shared: false },
      ],
    }) as unknown as DomainXml;

  it("is in the way by the disk that is, where that one is to be moved", () => {
    assert.deepEqual(
      sharingIn(domain(true), ["vda", "vdb"]).map(({ qdev, concerns }) => [qdev, concerns]),
      [["vda", "sharing"]],
    );
    assert.deepEqual(sharingIn(domain(true), ["vdb"]), []);
    assert.deepEqual(sharingIn(domain(false), ["vda"]), []);
  });
});

describe("a paused domain", () => {
  for (const state of ["paused", "paused (user)", "paused (migrating)", "paused (unknown)", "paused (from snapshot)"])
    it(`waits for who has suspended it where it is ${state}`, () => assert(isSuspended(state)));
  for (const state of ["running (booted)", "shut off (destroyed)", "crashed", ...stoppedByItself])
    it(`waits for nobody where it is ${state}`, () => assert(!isSuspended(state)));
});

describe("the answer about libvirt's jobs", () => {
  it("tells of none only where it says so", () => {
    assert(noJob.test("Job type:         None   \n\n"));
    for (const text of ["", "Job type:         Unbounded\n", "error: None\n"]) assert(!noJob.test(text), text);
  });

  it("tells how far a block job is, or nothing", () => {
    const job = { kind: "job", type: "Block Copy" };
    assert.deepEqual(blockJobIn(" type=Block Copy\n bandwidth=0\n cur=12\n end=34\n"), { ...job, progress: { cur: 12, end: 34 } });
    assert.deepEqual(blockJobIn(" type=Block Copy\nxcur=12\nend=34x\n"), job);
    assert.deepEqual(blockJobIn("cur=12\nend=34\n"), { kind: "unreadable" });
  });
});

describe("a word for virsh", () => {
  it("is one word, whatever it holds", () => {
    assert.equal(word('it\'s "a" $(x)'), `'it'\\''s "a" $(x)'`);
    assert.equal(command("resume --x", "a b", "c"), "resume --x 'a b' 'c'");
  });

  it("is refused with a control character, which virsh would read as a key", () => {
    for (const text of ["a\nb", "\t", "\u007f", "\u001f"]) assert.throws(() => word(text), /holds a control character/);
    assert.equal(word(" ~é"), "' ~é'");
  });
});
