/** What a program may get wrong, for every argument of every resource: a failure in words that names the argument, never a trace. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { isKind } from "../provider/core/errors.js";
import type { CheckFailure, Lifecycle, Properties, Run } from "../provider/core/lifecycle.js";
import { hostArgs } from "../provider/host/target.js";
import { toState } from "../provider/pulumi/state.js";
import { domainDisk } from "../provider/resources/domain-disk/lifecycle.js";
import { domainDiskArgs } from "../provider/resources/domain-disk/resource.js";
import { mirroredSnapshot } from "../provider/resources/mirrored-snapshot/lifecycle.js";
import { mirroredSnapshotArgs } from "../provider/resources/mirrored-snapshot/resource.js";
import { storageMigration } from "../provider/resources/storage-migration/lifecycle.js";
import { storageMigrationArgs } from "../provider/resources/storage-migration/resource.js";
import { thisWorld } from "./world.js";

/** What no argument of that kind may be. */
const kinds = {
  path: [7, "", "relative/path", ["/a"], {}, true, "/a\0b", "/a\nb"],
  text: [7, "", ["x"], {}, true],
  word: [7, "", "nonsense", ["none"], {}, true],
  count: ["7", -1, 1.5, [], {}, true],
  flag: ["yes", 0, [], {}],
  object: [7, "", "db-3", [], {}, { nonsense: 1 }, true],
  disks: [7, "", "vda", {}, [], [7], [null], [""], ["#block123"], [["vda"]], ["vda", "vda"]],
  snapshotDisks: [7, "", "vda", {}, [], ["vda"], [null], [{}], [{ disk: "vda", file: "a", mirror: "/b" }]],
  diskspecs: [7, "", "vda", {}, [], [7], [""], ["vda"], ["vda,file=/a"], ["vda,nonsense=1"]],
  words: [7, "", "bitmaps", {}, ["nonsense"], [null]],
  refused: [7, "", true, {}],
} as const;

type Kind = keyof typeof kinds;

const place = { host: { address: "db-3", user: "root" }, domain: { qmp: "/run/vm/web.qmp" } };
const overlay = { disk: "vda", file: "/path1/old.migrate", mirror: "/path2/new.qcow2" };

const resources: Record<string, { lifecycle: Lifecycle; good: Properties; kinds: Record<string, Kind>; shape: object }> = {
  DomainDisk: {
    ...{ lifecycle: domainDisk, shape: domainDiskArgs.shape, good: { ...place, disk: "vda" } },
    kinds: { host: "object", domain: "object", disk: "text", storage: "path", base: "path" },
  },
  StorageMigration: {
    ...{ lifecycle: storageMigration, shape: storageMigrationArgs.shape, good: { ...place, destination: "/srv/fast" } },
    kinds: {
      ...{ host: "object", domain: "object", disks: "disks", destination: "path", strategy: "word", collapse: "word" },
      ...{ restartDuringMove: "word", keepBase: "path", maxBytesPerSecond: "count", copyMode: "word", verify: "word" },
      ...{ afterwards: "word", link: "path", loses: "words", stallSeconds: "count", switchSeconds: "count", onDrift: "word" },
    },
  },
  MirroredSnapshot: {
    ...{ lifecycle: mirroredSnapshot, shape: mirroredSnapshotArgs.shape, good: { ...place, disks: [overlay] } },
    kinds: {
      ...{ host: "object", domain: "object", disks: "snapshotDisks", diskspecs: "diskspecs", reuseExternal: "flag" },
      ...{ copyMode: "word", keepBase: "path", onDelete: "word", stallSeconds: "count", memory: "refused", noMetadata: "refused" },
    },
  },
};

const hostKinds: Record<string, Kind> = {
  ...{ address: "text", port: "count", user: "text", identityFile: "text", hostKey: "word", knownHostsFile: "text" },
  ...{ jump: "object", privilege: "word", stateDirectory: "path" },
};

const silent: Run = { progress() {}, say() {}, world: thisWorld, stop: new AbortController().signal, credentials: {}, urn: "" };

/** One line each, about this argument. */
function assertNames(failures: readonly CheckFailure[], argument: string, value: unknown): void {
  const shown = `${argument}: ${JSON.stringify(value)} → ${JSON.stringify(failures)}`;
  assert.ok(failures.length > 0, shown);
  assert.ok(
    failures.every(({ property }) => property === argument || property.startsWith(`${argument}.`)),
    shown,
  );
  const word = argument.split(".").at(-1)?.replace(/s$/, "") ?? "";
  for (const { property, reason } of failures) {
    assert.ok(property.includes(word) && reason.length > 10, shown);
    assert.doesNotMatch(reason, /\n|undefined|\[object|Invalid|ZodError|at .*\.js/, shown);
  }
}

for (const [name, { lifecycle, good, kinds: ofArguments, shape }] of Object.entries(resources)) {
  describe(`bad input of a ${name}`, function () {
    this.timeout(180_000);

    it("has a row for every argument", () => {
      assert.deepEqual(Object.keys(ofArguments).sort(), Object.keys(shape).sort());
      assert.deepEqual(lifecycle.check({}, good).failures, []);
    });

    for (const [argument, kind] of Object.entries(ofArguments)) {
      it(`is told of ${argument}`, () => {
        const others = argument === "diskspecs" ? place : good;
        for (const value of kinds[kind]) assertNames(lifecycle.check({}, { ...others, [argument]: value }).failures, argument, value);
      });
    }

    it("is told of an argument that there is not, and of one that is missing", () => {
      assertNames(lifecycle.check({}, { ...good, destinaton: "/srv" }).failures, "destinaton", "/srv");
      for (const argument of Object.keys(good)) {
        const { [argument]: _, ...rest } = good;
        assertNames(lifecycle.check({}, rest).failures, argument, undefined);
      }
    });

    it("is told of every argument that cannot even be turned into text", () => {
      const wordless = { toString: null };
      for (const name of Object.keys(shape)) {
        for (const value of [wordless, [wordless]]) {
          const { inputs, failures } = lifecycle.check({}, { ...good, [name]: value });
          assert.notEqual(failures.length, 0, name);
          assertDiffInWords(good, inputs);
        }
      }
    });

    const assertDiffInWords = (olds: Properties, inputs: Properties) => {
      try {
        const { changes } = lifecycle.diff("id", olds, inputs, silent);
        assert.ok(changes === undefined || typeof changes === "boolean");
      } catch (thrown) {
        assert.ok(isKind(thrown, "user") && !thrown.message.includes("\n"), String(thrown));
      }
    };

    it("makes neither check nor diff throw anything but a sentence, whatever it is; and what passes stays as it is", () => {
      fc.assert(
        fc.property(bagOf(Object.keys(shape), good), bagOf(Object.keys(shape), good), (news, olds) => {
          const { inputs, failures } = lifecycle.check(olds, news);
          toState(inputs);
          if (failures.length === 0) assert.deepEqual(lifecycle.check(inputs, inputs), { inputs, failures: [] });
          assertDiffInWords(olds, inputs);
        }),
        { numRuns: 300 },
      );
    });
  });
}

describe("bad input of a host", () => {
  const check = (host: unknown) => storageMigration.check({}, { ...place, destination: "/srv", host }).failures;

  it("has a row for every argument", () => {
    assert.deepEqual(Object.keys(hostKinds).sort(), Object.keys(hostArgs.shape).sort());
  });

  for (const [argument, kind] of Object.entries(hostKinds)) {
    it(`is told of ${argument}`, () => {
      for (const value of kinds[kind]) assertNames(check({ ...place.host, [argument]: value }), `host.${argument}`, value);
    });
  }
});

describe("arguments that exclude each other", () => {
  const { StorageMigration, MirroredSnapshot } = resources;
  const both: [string, Lifecycle | undefined, Properties, string][] = [
    [
      "hostKey and knownHostsFile",
      StorageMigration?.lifecycle,
      { host: { ...place.host, hostKey: `SHA256:${"A".repeat(43)}`, knownHostsFile: "~/k" } },
      "host",
    ],
    ["qmp and libvirt", StorageMigration?.lifecycle, { domain: { qmp: "/run/vm/web.qmp", libvirt: "web" } }, "domain"],
    ["collapse and strategy mirror", StorageMigration?.lifecycle, { collapse: "pull" }, "collapse"],
    ["restartDuringMove and strategy mirror", StorageMigration?.lifecycle, { restartDuringMove: "from-manifest" }, "restartDuringMove"],
    ["link and libvirt", StorageMigration?.lifecycle, { domain: { libvirt: "web" }, link: "/vm/web" }, "link"],
    [
      "collapse none and link",
      StorageMigration?.lifecycle,
      { strategy: "snapshot", restartDuringMove: "from-manifest", collapse: "none", link: "/vm/web" },
      "collapse",
    ],
    ["afterwards keep and no link", StorageMigration?.lifecycle, { afterwards: "keep" }, "afterwards"],
    ["disks and diskspecs", MirroredSnapshot?.lifecycle, { diskspecs: ["vda,file=/a,mirror=/b"] }, "disks"],
    ["pivot and abort", MirroredSnapshot?.lifecycle, { onDelete: "pivot,abort" }, "onDelete"],
  ];
  for (const [what, lifecycle, different, argument] of both) {
    it(`are refused in words: ${what}`, () => {
      const good = lifecycle === mirroredSnapshot ? MirroredSnapshot?.good : StorageMigration?.good;
      assertNames(lifecycle?.check({}, { ...good, ...different }).failures ?? [], argument, different);
    });
  }
});

/** Bags with any of the arguments: what is right, what is not known yet, and anything that JSON can say. */
function bagOf(names: readonly string[], good: Properties): fc.Arbitrary<Properties> {
  const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
  const arbitraries = names.map((name) => {
    const any = fc.oneof(fc.constant(unknown), fc.constant(unknown), fc.jsonValue(), fc.constantFrom(...Object.values(kinds).flat()));
    const value = name in good ? fc.oneof(fc.constant(good[name]), fc.constant(good[name]), any) : any;
    return [name, value] as const;
  });
  return fc.record(Object.fromEntries(arbitraries), { requiredKeys: [] });
}
