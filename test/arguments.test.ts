import assert from "node:assert/strict";
import { checkArguments } from "../provider/core/arguments.js";
import type { Properties, Run } from "../provider/core/lifecycle.js";
import { domainDisk } from "../provider/resources/domain-disk/lifecycle.js";
import { storageMigration } from "../provider/resources/storage-migration/lifecycle.js";
import { storageMigrationArgs } from "../provider/resources/storage-migration/resource.js";
import { thisWorld } from "./world.js";

const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const host = { address: "db-3", user: "root" };
const good = { host, domain: { qmp: "/run/vm/web.qmp" }, disks: ["vda"], destination: "/srv/fast" };
const silent: Run = { progress() {}, say() {}, world: thisWorld, stop: new AbortController().signal, credentials: {}, urn: "" };

/** The one reason that a bag of arguments is refused for. */
function reason(news: Properties): string {
  const { failures } = storageMigration.check({}, news);
  assert.equal(failures.length, 1, JSON.stringify(failures));
  return failures[0]?.reason ?? "";
}

describe("the arguments of a StorageMigration", () => {
  it("come out with every default written in", () => {
    const { inputs, failures } = checkArguments(storageMigrationArgs, good);
    assert.deepEqual(failures, []);
    assert.deepEqual(inputs, {
      host: { address: "db-3", port: 22, user: "root", privilege: "user" },
      domain: { qmp: "/run/vm/web.qmp" },
      disks: ["vda"],
      destination: "/srv/fast",
      strategy: "mirror",
      maxBytesPerSecond: 0,
      copyMode: "background",
      verify: "none",
      afterwards: "quarantine",
      loses: [],
      stallSeconds: 600,
      switchSeconds: 30,
      onDrift: "correct",
    });
  });

  it("are as if left out where they have no value, at any depth: so a secret output without one comes", () => {
    const empty = {
      ...good,
      link: null,
      collapse: undefined,
      host: { ...host, port: null, jump: null },
      domain: { libvirt: "web", uri: null },
    };
    const { inputs, failures } = checkArguments(storageMigrationArgs, empty);
    assert.deepEqual(failures, []);
    const whole = checkArguments(storageMigrationArgs, { ...good, domain: { libvirt: "web" } });
    assert.deepEqual(inputs, whole.inputs);
    assert.equal(reason({ ...good, destination: null }), reason({ ...good, destination: undefined }));
    assert.match(reason({ ...good, disks: ["vda", null] }), /disk/);
  });

  it("keep a destination that is not known yet, and still get their defaults", () => {
    const { inputs, failures } = checkArguments(storageMigrationArgs, { ...good, destination: unknown });
    assert.deepEqual(failures, []);
    assert.equal(inputs.destination, unknown);
    assert.equal(inputs.strategy, "mirror");
  });

  it("get the defaults also beside a value that is not known yet, and are told what is wrong beside it", () => {
    const { inputs, failures } = checkArguments(storageMigrationArgs, {
      ...good,
      host: { address: unknown, user: "" },
      disks: [unknown, 7],
    });
    assert.deepEqual(inputs.host, { address: unknown, user: "" });
    assert.deepEqual(
      failures.map(({ property }) => property),
      ["host.user", "disks.1"],
    );
    const right = checkArguments(storageMigrationArgs, { ...good, host: { address: unknown, user: "root" }, domain: { libvirt: unknown } });
    assert.deepEqual(right.inputs.host, { address: unknown, port: 22, user: "root", privilege: "user" });
    assert.deepEqual(right.inputs.domain, { libvirt: unknown, uri: "qemu:///system" });
  });

  for (const [place, news] of Object.entries({
    "the address of a jump host": { ...good, host: { ...host, jump: { address: unknown, user: "root" } } },
    "the path of the monitor": { ...good, domain: { qmp: unknown } },
    "a disk's name": { ...good, disks: ["vda", unknown, unknown] },
    "the host as a whole": { ...good, host: unknown },
    "one of the words in a list": { ...good, loses: [unknown] },
  })) {
    it(`bear that ${place} is not known yet, and keep it`, () => {
      const { inputs, failures } = checkArguments(storageMigrationArgs, news);
      assert.deepEqual(failures, []);
      assert.equal(inputs.stallSeconds, 600);
      assert(JSON.stringify(inputs).includes(unknown));
    });
  }

  const notWithoutRestart =
    /strategy "snapshot" wants `restartDuringMove: "from-manifest"`: from the freeze to the end of the move a guest that is started by its old command line silently boots an image that lacks/;
  const wrong: [string, Properties, RegExp][] = [
    ["a relative destination", { ...good, destination: "fast" }, /destination must be an absolute path/],
    ["a destination with a line break", { ...good, destination: "/srv/a\nb" }, /destination must not contain a line break/],
    ["no destination", { ...good, destination: undefined }, /destination is a path/],
    ["an unknown argument", { ...good, destinaton: "/srv" }, /there is no argument `destinaton`; the arguments are host, domain/],
    [
      "an unknown argument of the host",
      { ...good, host: { ...host, privateKey: "x" } },
      /host has no argument `privateKey`.*livedisk:privateKey/,
    ],
    ["a raw block node", { ...good, disks: ["#block123"] }, /#block node name changes with every start/],
    ["a number for a disk", { ...good, disks: [7] }, /disk is a text/],
    ["no disks at all", { ...good, disks: [] }, /disks is empty/],
    ["a disk twice", { ...good, disks: ["vda", "vda"] }, /names a disk twice/],
    ["a negative speed", { ...good, maxBytesPerSecond: -1 }, /maxBytesPerSecond is a whole number of bytes/],
    ["keep without a link", { ...good, afterwards: "keep" }, /afterwards "keep" wants `link`/],
    ["strategy snapshot without restartDuringMove", { ...good, strategy: "snapshot" }, notWithoutRestart],
    [
      "restartDuringMove with a mirror",
      { ...good, restartDuringMove: "from-manifest" },
      /restartDuringMove goes with strategy "snapshot" only/,
    ],
    ["another restartDuringMove", { ...good, strategy: "snapshot", restartDuringMove: "yes" }, /restartDuringMove is "from-manifest"/],
    ["collapse with a mirror", { ...good, collapse: "pull" }, /collapse goes with strategy "snapshot" only/],
    [
      "collapse none with a link",
      { ...good, strategy: "snapshot", restartDuringMove: "from-manifest", collapse: "none", link: "/vm/web" },
      /collapse "none" goes without `link`: a boot by the old name would silently find the frozen image below the overlay that stays/,
    ],
    ["a switch in no time", { ...good, switchSeconds: 0 }, /switchSeconds is a whole number of seconds, 1 to 600/],
    ["a stall of a moment", { ...good, stallSeconds: 1 }, /stallSeconds is a whole number of seconds, 10 or more/],
    ["another onDrift", { ...good, onDrift: "ignore" }, /onDrift is "correct" or "report"/],
    ["another verify", { ...good, verify: "yes" }, /verify is "none" or "full"/],
    ["another copyMode", { ...good, copyMode: "foreground" }, /copyMode is "background" or "write-blocking"/],
    ["another afterwards", { ...good, afterwards: "forget" }, /afterwards is "quarantine", "keep" or "delete"/],
    ["what a move cannot lose", { ...good, loses: ["writes"] }, /loses is a list of "bitmaps"/],
    ["a relative socket", { ...good, domain: { qmp: "web.qmp" } }, /domain.qmp must be an absolute path/],
    ["a domain that is none", { ...good, domain: "web" }, /domain is \{ qmp/],
  ];
  for (const [what, news, expected] of wrong) {
    it(`refuse ${what} in a sentence that names the argument`, () => {
      assert.match(reason(news), expected);
    });
  }
});

describe("the difference of a StorageMigration", () => {
  const { inputs } = checkArguments(storageMigrationArgs, good);
  const olds = { ...inputs, moves: { vda: { phase: "settled", bootPath: "/srv/fast/a", chain: [] } } };

  it("is none when the inputs are the same", () => {
    assert.deepEqual(storageMigration.diff("id", olds, inputs, silent), { changes: false, replaces: [] });
  });

  it("is left to the engine to name when an input differs", () => {
    assert.deepEqual(storageMigration.diff("id", olds, { ...inputs, destination: "/srv/slow" }, silent), {
      changes: undefined,
      replaces: [],
    });
  });

  it("is there when only the state shows a move that has not ended", () => {
    const moves = { vda: { phase: "mirroring", bootPath: "/srv/fast/a", chain: [] } };
    assert.deepEqual(storageMigration.diff("id", { ...olds, moves }, inputs, silent), { changes: true, replaces: [] });
  });

  it("replaces for another host", () => {
    const other = { ...inputs, host: { address: "db-4", port: 22, user: "root", privilege: "user" } };
    assert.deepEqual(storageMigration.diff("id", olds, other, silent).replaces, ["host"]);
  });

  it("changes in place for another way to the same host", () => {
    const other = { ...inputs, host: { address: "db-3", port: 22, user: "deploy", privilege: "sudo" } };
    assert.deepEqual(storageMigration.diff("id", olds, other, silent), { changes: undefined, replaces: [] });
  });

  it("does not replace for a domain that is not known yet", () => {
    assert.deepEqual(storageMigration.diff("id", olds, { ...inputs, domain: unknown }, silent).replaces, []);
  });

  it("does not replace for a part that is not known yet, but for one beside it that differs", () => {
    const at = (place: Properties) => storageMigration.diff("id", olds, { ...inputs, ...place }, silent).replaces;
    const full = { address: "db-3", port: 22, user: "root", privilege: "user" };
    assert.deepEqual(at({ host: { ...full, address: unknown } }), []);
    assert.deepEqual(at({ host: { ...full, address: unknown, port: 2222 } }), ["host"]);
    assert.deepEqual(at({ host: { ...full, address: "db-4", port: unknown } }), ["host"]);
    assert.deepEqual(at({ domain: { qmp: unknown } }), []);
    assert.deepEqual(at({ domain: { libvirt: unknown } }), ["domain"]);
  });

  for (const [place, news] of Object.entries({
    "a disk": { disks: ["vda", unknown] },
    "the layer that stays": { keepBase: unknown, destination: "/srv/slow" },
    "which guest": { domain: unknown, destination: "/srv/slow" },
  })) {
    it(`tells no plan while ${place} is not known`, () => {
      const said: string[] = [];
      const run: Run = { ...silent, say: (_severity, text) => said.push(text) };
      assert.equal(storageMigration.diff("id", olds, { ...inputs, ...news }, run).changes, undefined);
      assert.deepEqual(said, []);
    });
  }

  it("bears an empty state", () => {
    assert.deepEqual(storageMigration.diff("id", {}, inputs, silent), { changes: undefined, replaces: [] });
  });
});

describe("the difference of a DomainDisk", () => {
  const { inputs } = domainDisk.check({}, { host, domain: good.domain, disk: "vda" });

  it("replaces for another disk", () => {
    assert.deepEqual(domainDisk.diff("id", inputs, { ...inputs, disk: "vdb" }, silent), { changes: undefined, replaces: ["disk"] });
  });

  it("tells no plan while the disk is not known", () => {
    const said: string[] = [];
    const run: Run = { ...silent, say: (_severity, text) => said.push(text) };
    const olds = { ...inputs, phase: "settled", chain: [{ path: "/srv/slow/a", format: "raw", virtualBytes: 1, allocatedBytes: 0 }] };
    domainDisk.diff("id", olds, { ...inputs, disk: unknown, storage: "/srv/fast" }, run);
    assert.deepEqual(said, []);
  });

  it("changes in place for another storage", () => {
    assert.deepEqual(domainDisk.diff("id", inputs, { ...inputs, storage: "/srv/fast" }, silent), { changes: undefined, replaces: [] });
  });
});
