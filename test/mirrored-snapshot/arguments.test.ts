import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import type { Properties, Run } from "../../provider/core/lifecycle.js";
import { mirroredSnapshot } from "../../provider/resources/mirrored-snapshot/lifecycle.js";
import { thisWorld } from "../world.js";

const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const host = { address: "db-3", user: "root" };
const disk = { disk: "vda", file: "/path1/to/old.migrate", mirror: "/path2/to/new.qcow2" };
const spec = "vda,file=/path1/to/old.migrate,mirror=/path2/to/new.qcow2";
const good = { host, domain: { qmp: "/run/vm/web.qmp" }, disks: [disk] };
const { disks: _, ...without } = good;
const silent: Run = { progress() {}, say() {}, world: thisWorld, stop: new AbortController().signal, credentials: {}, urn: "" };

function reasons(news: Properties): string[] {
  return mirroredSnapshot.check({}, news).failures.map(({ reason }) => reason);
}

describe("the arguments of a MirroredSnapshot", () => {
  it("come out with every default written in", () => {
    const { inputs, failures } = mirroredSnapshot.check({}, good);
    assert.deepEqual(failures, []);
    assert.deepEqual(inputs, {
      host: { address: "db-3", port: 22, user: "root", privilege: "user" },
      domain: { qmp: "/run/vm/web.qmp" },
      disks: [{ ...disk, driver: "qcow2" }],
      reuseExternal: false,
      copyMode: "background",
      stallSeconds: 600,
    });
  });

  it("may name the disks by diskspecs, and leave one out with snapshot=no", () => {
    assert.deepEqual(reasons({ ...without, diskspecs: [spec, "vdb,snapshot=no"] }), []);
  });

  it("keep disks that are not known yet", () => {
    assert.deepEqual(reasons({ ...without, disks: unknown }), []);
    assert.deepEqual(reasons({ ...good, disks: [{ ...disk, mirror: unknown }] }), []);
  });

  const wrong: [string, Properties, RegExp][] = [
    ["neither disks nor diskspecs", without, /give exactly one of disks and diskspecs/],
    ["both disks and diskspecs", { ...good, diskspecs: [spec] }, /give exactly one of disks and diskspecs/],
    ["no disks", { ...good, disks: [] }, /disks is empty/],
    ["only disks that are left out", { ...without, diskspecs: ["vda,snapshot=no"] }, /no disk is in the snapshot/],
    ["a diskspec against the grammar", { ...without, diskspecs: ["vda,mirrors=/m"] }, /The grammar is disk\[,snapshot=type\]/],
    ["an internal snapshot", { ...without, diskspecs: [`${spec},snapshot=internal`] }, /a mirrored snapshot is external/],
    ["a disk that is left out and has a file", { ...without, diskspecs: [`${spec},snapshot=no`] }, /has no file and no mirror/],
    ["a diskspec without a mirror", { ...without, diskspecs: ["vda,file=/f"] }, /mirror is a path/],
    ["a relative file", { ...good, disks: [{ ...disk, file: "old.migrate" }] }, /file must be an absolute path/],
    ["another driver", { ...good, disks: [{ ...disk, driver: "raw" }] }, /driver is "qcow2"/],
    ["a raw block node", { ...good, disks: [{ ...disk, disk: "#block1" }] }, /#block node name changes/],
    ["a disk twice", { ...good, disks: [disk, { ...disk, file: "/f", mirror: "/m" }] }, /the disk vda is named twice/],
    ["a file twice", { ...good, disks: [{ ...disk, mirror: disk.file }] }, /is named twice/],
    ["pivot and abort at once", { ...good, onDelete: "pivot,abort" }, /^delete mirror flags are mutually exclusive \(invalid argument\)/],
    ["pivot and abort as a list", { ...good, onDelete: ["abort", "pivot"] }, /^delete mirror flags are mutually exclusive/],
    ["another ending", { ...good, onDelete: "revert" }, /onDelete is "pivot" or "abort"/],
    ["memory", { ...good, memory: true }, /^save is refused while a mirrored snapshot is current/],
    ["noMetadata", { ...good, noMetadata: true }, /^no-metadata is refused while a mirrored snapshot is current/],
    ["a relative keepBase", { ...good, keepBase: "common" }, /keepBase must be an absolute path/],
    ["another copy mode", { ...good, copyMode: "fast" }, /copyMode/],
    ["a reuseExternal that is no boolean", { ...good, reuseExternal: "yes" }, /reuseExternal is true or false/],
  ];
  for (const [what, news, expected] of wrong) {
    it(`refuse ${what}`, () => {
      const found = reasons(news);
      assert.equal(found.length, 1, JSON.stringify(found));
      assert.match(found[0] ?? "", expected);
    });
  }
});

describe("the difference of a MirroredSnapshot", () => {
  const { inputs } = mirroredSnapshot.check({}, good);
  const olds = { ...inputs, states: { vda: { state: "ready", current: disk.file, chain: [] } } };
  const diff = (news: Properties, before: Properties = olds) => mirroredSnapshot.diff("id", before, news, silent);

  it("is none when the inputs are the same", () => {
    assert.deepEqual(diff(inputs), { changes: false, replaces: [] });
  });

  it("changes onDelete in place", () => {
    assert.deepEqual(diff({ ...inputs, onDelete: "pivot" }), { changes: undefined, replaces: [] });
  });

  it("changes in place how one signs in", () => {
    const other = { ...inputs, host: { address: "db-3", port: 22, user: "deploy", privilege: "sudo" } };
    assert.deepEqual(diff(other), { changes: undefined, replaces: [] });
  });

  it("is there when only the state shows a mirror that is lost", () => {
    const lost = { ...olds, states: { vda: { state: "lost", current: disk.file, chain: [] } } };
    assert.deepEqual(diff(inputs, lost), { changes: true, replaces: [] });
  });

  it("takes diskspecs that say the same for no other disks", () => {
    const { disks: _disks, ...rest } = inputs;
    assert.deepEqual(diff({ ...rest, diskspecs: [spec] }), { changes: undefined, replaces: [] });
  });

  const fixed: [string, Properties][] = [
    ["disks", { disks: [{ ...disk, mirror: "/path3/new.qcow2", driver: "qcow2" }] }],
    ["reuseExternal", { reuseExternal: true }],
    ["copyMode", { copyMode: "write-blocking" }],
    ["keepBase", { keepBase: "/path1/to/common.qcow2" }],
    ["stallSeconds", { stallSeconds: 60 }],
    ["domain", { domain: { qmp: "/run/vm/other.qmp" } }],
    ["host", { host: { address: "db-4", port: 22, user: "root", privilege: "user" } }],
  ];
  for (const [key, change] of fixed) {
    it(`refuses another ${key}: end this snapshot first`, () => {
      assert(!isDeepStrictEqual({ ...inputs, ...change }, inputs));
      assert.throws(() => diff({ ...inputs, ...change }), { kind: "user", message: /: end this snapshot first\. Nothing was touched\./ });
    });
  }

  it("waits with what is not known yet", () => {
    assert.deepEqual(diff({ ...inputs, disks: unknown }), { changes: undefined, replaces: [] });
    const mirrorUnknown = [{ ...disk, mirror: unknown, driver: "qcow2" }];
    assert.deepEqual(diff({ ...inputs, disks: mirrorUnknown }), { changes: undefined, replaces: [] });
    assert.deepEqual(diff({ ...inputs, host: { ...host, port: 22, privilege: "user", address: unknown } }), {
      changes: undefined,
      replaces: [],
    });
  });

  it("refuses at once what differs beside a value that is not known yet", () => {
    const disks = [{ ...disk, file: "/path3/old.migrate", mirror: unknown, driver: "qcow2" }];
    assert.throws(() => diff({ ...inputs, disks }), { kind: "user", message: /Unable to change disks of a mirrored snapshot/ });
  });

  it("bears an empty state, and one that an older version wrote without an argument of today", () => {
    assert.deepEqual(diff(inputs, {}), { changes: undefined, replaces: [] });
    const { stallSeconds: _stall, ...older } = olds as Properties;
    assert.deepEqual(diff(inputs, older), { changes: false, replaces: [] });
  });
});

describe("updating a MirroredSnapshot", () => {
  const { inputs } = mirroredSnapshot.check({}, { ...good, onDelete: "pivot" });
  const { inputs: without } = mirroredSnapshot.check({}, good);
  const olds = { ...inputs, states: { vda: { state: "ready", current: disk.file, chain: [] } } };

  it("in nothing but onDelete asks nothing of the host", async () => {
    const { outputs } = await mirroredSnapshot.update("id", olds, { ...inputs, onDelete: "abort" }, silent);
    const states = { vda: { ...olds.states.vda, status: "settled" } };
    assert.deepEqual(outputs, { ...olds, states, onDelete: "abort" });
    const taken = await mirroredSnapshot.update("id", olds, without, silent);
    assert.equal(taken.outputs.onDelete, undefined);
  });
});

describe("deleting a MirroredSnapshot without onDelete", () => {
  it("is refused with the proposal's rule, before anything is asked of the host", async () => {
    const { inputs } = mirroredSnapshot.check({}, good);
    await assert.rejects(mirroredSnapshot.delete("id", inputs, silent), {
      kind: "user",
      message: /vda: it can be deleted only with one of pivot and abort \(invalid argument\).* Nothing was touched\. Set onDelete/,
    });
  });
});
