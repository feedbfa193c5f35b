/**
 * States as 0.1.0 wrote them, `states.json`: its own check() and toState() made them, from the arguments of a program and what its lifecycles
 * tell. The program has not changed since.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { settingsIn } from "../../provider/core/arguments.js";
import type { Lifecycle, Properties } from "../../provider/core/lifecycle.js";
import { visibleOf } from "../../provider/pulumi/hidden.js";
import { domainDisk } from "../../provider/resources/domain-disk/lifecycle.js";
import { domainDiskArgs } from "../../provider/resources/domain-disk/resource.js";
import * as ofDomainDisk from "../../provider/resources/domain-disk/state.js";
import { mirroredSnapshot } from "../../provider/resources/mirrored-snapshot/lifecycle.js";
import { mirroredSnapshotArgs } from "../../provider/resources/mirrored-snapshot/resource.js";
import * as ofMirroredSnapshot from "../../provider/resources/mirrored-snapshot/state.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { storageMigrationState } from "../../provider/resources/storage-migration/resource.js";
import * as ofStorageMigration from "../../provider/resources/storage-migration/state.js";
import { Recorder } from "../storage-migration/recorder.js";

type Type = "DomainDisk" | "StorageMigration" | "MirroredSnapshot";

const older: Record<string, { type: Type; program: Properties; outputs: Properties }> = JSON.parse(
  readFileSync(path.resolve(__dirname, "../../../test/older/states.json"), "utf8"),
);

const types: Record<
  Type,
  { lifecycle: Lifecycle; schema: Parameters<typeof settingsIn>[0]; asWrittenNow: (olds: Properties) => Properties }
> = {
  DomainDisk: { lifecycle: domainDisk, schema: domainDiskArgs, ...ofDomainDisk },
  StorageMigration: { lifecycle: storageMigration, schema: storageMigrationState, ...ofStorageMigration },
  MirroredSnapshot: { lifecycle: mirroredSnapshot, schema: mirroredSnapshotArgs, ...ofMirroredSnapshot },
};

interface Expected {
  /** Of the disk, or of each. */
  status: string | string[] | undefined;
  /** `undefined`: the engine says which input differs. */
  changes: boolean | undefined;
  /** @default none */
  plan?: string;
}

const moved = "copy the lower layers that are not there yet, mirror the active one, switch, tidy";
const home = `vda: 3 layers, 120 MiB, from /path1/old.qcow2 to /path2, live: ${moved}`;
const goOn = "go on with the move to /path2 that was begun";

const rows: Record<string, Expected> = {
  "DomainDisk adopted": { status: "settled", changes: false },
  "DomainDisk at its storage": { status: "settled", changes: false },
  "DomainDisk moved by hand": { status: "elsewhere", changes: undefined, plan: home },
  "DomainDisk half-way": { status: "moving", changes: true, plan: `vda: ${goOn}` },
  "DomainDisk whose definition is behind": {
    ...{ status: "cleaning-up", changes: true },
    plan: "vda: make the persistent definition name the file that the guest runs on",
  },
  "DomainDisk whose guest ended half-way": { status: undefined, changes: false },
  "DomainDisk half-way in a pull": { status: "settled", changes: false },
  "StorageMigration settled": { status: ["settled"], changes: false },
  "StorageMigration moved by hand": { status: ["elsewhere"], changes: undefined, plan: home },
  "StorageMigration moved by hand, reported only": { status: ["elsewhere"], changes: false },
  "StorageMigration half-way": { status: ["moving", "moving"], changes: true, plan: `vda: ${goOn}; vdb: ${goOn}` },
  "StorageMigration half-way in its switch": {
    ...{ status: ["switching"], changes: true },
    plan: "vda: end the switch of the move to /path2 that was begun, on the side that `current` names, then go on",
  },
  "StorageMigration half-way under its overlay": {
    ...{ status: ["cleaning-up"], changes: true },
    plan: "vda: finish the move to /path2 that was begun: it has switched",
  },
  "StorageMigration on its way back": {
    ...{ status: ["undoing"], changes: true },
    plan: "vda: a move of it was being undone: end that, and leave it in /path2",
  },
  "StorageMigration whose storage is full": {
    ...{ status: ["needs-attention"], changes: true },
    plan: `vda: ${goOn}, if what stopped it is no longer there`,
  },
  "StorageMigration of a disk in a mirrored snapshot": { status: ["elsewhere"], changes: false },
  "StorageMigration whose guest ended half-way in its create": { status: [], changes: false },
  "MirroredSnapshot mirrored": { status: ["settled"], changes: false },
  "MirroredSnapshot half-way": {
    ...{ status: ["moving"], changes: true },
    plan: "vda: go on with what was begun, until every write goes to /path1/old.migrate and to /path2/new.qcow2",
  },
  "MirroredSnapshot half-way in its pivot": {
    ...{ status: ["switching"], changes: true },
    plan: "vda: end the pivot that was begun, on the side that `current` names",
  },
  "MirroredSnapshot whose mirror is lost": {
    ...{ status: ["needs-attention"], changes: true },
    plan: "vda: empty /path2/new.qcow2 and mirror to it again; the guest stays on /path1/old.migrate",
  },
  "MirroredSnapshot by diskspecs": { status: ["settled"], changes: false },
};

/** The status of the disk, or of each. */
function statusesIn(outputs: Properties): string | string[] | undefined {
  const reports = (outputs.moves ?? outputs.states) as Record<string, { status: string }> | undefined;
  return reports ? Object.values(reports).map(({ status }) => status) : (outputs.status as string | undefined);
}

/** Without any status. */
function bare(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, inner) => (key === "status" ? undefined : inner)));
}

describe("a state of 0.1.0", () => {
  it("is here of each kind, and each is expected to say something", () => {
    assert.deepEqual(Object.keys(older), Object.keys(rows));
  });

  for (const [what, { status, changes, plan }] of Object.entries(rows)) {
    const found = older[what] ?? assert.fail(`states.json has no ${what}`);
    const { lifecycle, schema, asWrittenNow } = types[found.type];
    const olds = visibleOf(found.outputs);
    const { inputs, failures } = lifecycle.check({}, found.program);

    it(`of a ${what} ${changes === false ? "differs in nothing from" : "differs from"} the program that wrote it`, () => {
      assert.deepEqual(failures, []);
      const teller = new Recorder();
      assert.deepEqual(lifecycle.diff("id", olds, inputs, teller), { changes, replaces: [] });
      assert.deepEqual(teller.said, plan === undefined ? [] : [`info: plan: ${plan}`]);
    });

    it(`of a ${what} says where its disks stand, and nothing else of it changes`, () => {
      const now = asWrittenNow(olds);
      assert.deepEqual(statusesIn(now), status);
      assert.deepEqual(bare(now), bare(olds));
      assert.deepEqual(asWrittenNow(now), now);
    });

    it(`of a ${what} has its arguments, with the defaults of today`, () => {
      const shown = changes === undefined ? { destination: olds.destination, storage: olds.storage } : {};
      const drifted = Object.fromEntries(Object.entries(shown).filter(([, value]) => value !== undefined));
      assert.deepEqual(settingsIn(schema, olds), { ...inputs, ...drifted });
    });
  }
});
