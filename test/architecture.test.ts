import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Sources } from "./architecture/imports.js";
import * as rules from "./architecture/rules.js";

const folder = path.resolve(__dirname, "../../provider");

function provider(): Sources {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
  return new Map(files.map((file) => [file.split(path.sep).join("/"), readFileSync(path.join(folder, file), "utf8")]));
}

/** Imports that the layout forbids and that are there still (test/architecture/debt.json): none. A new one fails, and so would an entry that is gone. */
const debt: { imports: string[]; folders: string[] } = JSON.parse(
  readFileSync(path.resolve(__dirname, "../../test/architecture/debt.json"), "utf8"),
);

/** A rule, and what it says about planted sources; each plant breaks the rule exactly once. */
interface Held {
  fact: string;
  rule: rules.Rule;
  /** What breaks it today: the list only shrinks. */
  debt?: readonly string[];
  broken: Readonly<Record<string, string>>[];
  /** Looks like the above, and is allowed. */
  allowed?: Readonly<Record<string, string>>;
}

const held: Held[] = [
  {
    fact: "imports point from the resources down to the core",
    rule: rules.arrowsPointDown,
    debt: debt.imports,
    broken: [
      { "host/files.ts": 'import { create } from "../image/qcow2.js";' },
      { "image/headers.ts": 'import type { Guest } from "../hypervisor/hypervisor.js";' },
      { "hypervisor/qemu/guest.ts": 'export { loop } from "../../flows/move/loop.js";' },
      { "flows/move/loop.ts": 'const late = () => import("../../resources/domain-disk/lifecycle.js");' },
      { "flows/move/loop.ts": 'import { pivot } from "../mirrored-snapshot/pivot.js";' },
      { "flows/shared/site.ts": 'import { loop } from "../move/loop.js";' },
      { "reconciler/watch.ts": 'import type { Site } from "../flows/shared/site.js";' },
      { "storage/directory/copy.ts": 'import type { Manifest } from "../../journal/manifest.js";' },
      { "resources/domain-disk/lifecycle.ts": 'import { move } from "../storage-migration/lifecycle.js";' },
      { "core/disk/chain.ts": 'import type { Host } from "../../host/host.js";' },
      { "pulumi/adapter.ts": 'import { observe } from "../flows/move/observe.js";' },
      { "index.ts": 'import { observe } from "./flows/move/observe.js";' },
      { "host/files.ts": 'const late = () => require("../image/headers");' },
      { "somewhere/else.ts": 'import { UserError } from "../core/errors.js";' },
    ],
    allowed: {
      "resources/domain-disk/lifecycle.ts":
        'import { loop } from "../../flows/move/loop.js"; import { gone } from "../../core/lifecycle.js";',
      "resources/domain-disk/resource.ts": 'import type { DeepInputs } from "../inputs.js";',
      "flows/move/loop.ts": 'import { key } from "../../core/disk/names.js"; import { run } from "../../host/host.js";',
      "index.ts": 'export { DomainDisk } from "./resources/domain-disk/resource.js"; export type { Report } from "./flows/move/report.js";',
      "dynamic.ts": 'const load = require("./resources/domain-disk/lifecycle.js"); import { adapt } from "./pulumi/adapter.js";',
    },
  },
  {
    fact: "folders of one room import each other one way only",
    rule: rules.foldersPointOneWay,
    debt: debt.folders,
    broken: [
      { "flows/move/loop.ts": 'import "./steps/begin.js";', "flows/move/steps/begin.ts": 'import "../report.js";' },
      {
        "flows/move/steps/a.ts": 'import "../managed/c.js";',
        "flows/move/steps/b.ts": 'import "../managed/c.js";',
        "flows/move/managed/c.ts": 'import "../steps/d.js";',
      },
    ],
    allowed: { "hypervisor/qemu/guest.ts": 'import type { Guest } from "../hypervisor.js";' },
  },
  {
    fact: "only hypervisor/ knows which hypervisors there are",
    rule: rules.hypervisorsStandBehindOne,
    broken: [
      { "flows/shared/patience.ts": 'import { MonitorBusy } from "../../hypervisor/qemu/client.js";' },
      { "resources/domain-disk/lifecycle.ts": 'import type { Domain } from "../../hypervisor/libvirt/domain.js";' },
    ],
    allowed: {
      "hypervisor/open.ts": 'import { openGuest } from "./qemu/guest.js"; import { openGuest as other } from "./libvirt/guest.js";',
      "flows/shared/patience.ts": 'import { MonitorBusy } from "../../hypervisor/hypervisor.js";',
    },
  },
  {
    fact: "only dynamic.ts joins the engine's adapter with the lifecycles",
    rule: rules.pulumiIsJoinedOnce,
    broken: [{ "resources/domain-disk/resource.ts": 'import { guard } from "../../pulumi/guard.js";' }],
    allowed: { "dynamic.ts": 'import { adapt } from "./pulumi/adapter.js";' },
  },
  {
    fact: "only host/ speaks SSH",
    rule: rules.ssh2OnlyInHost,
    broken: [
      { "image/copy.ts": 'import type { Client } from "ssh2";' },
      { "dynamic.ts": 'const ssh = require("ssh2/lib/client");' },
      { "image/copy.ts": 'const load = createRequire(__filename); const ssh = load("ssh2");' },
    ],
    allowed: { "host/connection.ts": 'import { Client } from "ssh2";' },
  },
  {
    fact: "only host/ opens a connection",
    rule: rules.connectionsOnlyInHost,
    broken: [
      { "image/copy.ts": 'import { connect } from "node:net";' },
      { "hypervisor/qemu/client.ts": 'import http2 from "http2";' },
      { "journal/holder.ts": 'const { lookup } = process.getBuiltinModule("dns");' },
      { "flows/move/loop.ts": 'export const told = () => fetch("https://example.org");' },
      { "pulumi/progress.ts": 'export const socket = new WebSocket("wss://example.org");' },
    ],
    allowed: {
      "host/ssh-connection.ts": 'import { connect } from "node:net";',
      "image/copy.ts": "export const fetched = (disk: Disk) => disk.fetch();",
    },
  },
  {
    fact: "the package does not import itself by its name",
    rule: rules.noImportOfItself,
    broken: [
      { "core/disk/chain.ts": 'import type { LayerReport } from "pulumi-livedisk";' },
      { "host/host.ts": 'const late = () => require("pulumi-livedisk/dynamic");' },
    ],
    allowed: { "resources/domain-disk/resource.ts": "const __provider = 'exports.handler = () => require(\"pulumi-livedisk/dynamic\")';" },
  },
  {
    fact: "what is loaded is named",
    rule: rules.loadsAreNamed,
    broken: [
      { "image/copy.ts": 'const name = "ss" + "h2"; const ssh = require(name);' },
      { "image/copy.ts": "const load = (name: string) => import(name);" },
    ],
    allowed: { "image/copy.ts": 'const late = () => import("./layer.js");' },
  },
  {
    fact: "only hypervisor/libvirt/ reads XML",
    rule: rules.xmlOnlyInLibvirt,
    broken: [{ "flows/mirrored-snapshot/xml.ts": 'import { XMLParser } from "fast-xml-parser";' }],
    allowed: { "hypervisor/libvirt/xml.ts": 'import { XMLParser } from "fast-xml-parser";' },
  },
  {
    fact: "only pulumi/ speaks gRPC",
    rule: rules.grpcOnlyInPulumi,
    broken: [{ "dynamic.ts": 'import * as grpc from "@grpc/grpc-js";' }],
    allowed: { "pulumi/progress.ts": 'import * as grpc from "@grpc/grpc-js";' },
  },
  {
    fact: "only pulumi/ and what users import know the SDK",
    rule: rules.engineOnlyAtTheEdge,
    broken: [
      { "flows/move/loop.ts": 'import * as pulumi from "@pulumi/pulumi";' },
      { "core/disk/chain.ts": 'import type { Input } from "@pulumi/pulumi/output.js";' },
      { "dynamic.ts": 'import { dynamic } from "@pulumi/pulumi";' },
      { "inputs.ts": 'import { output } from "@pulumi/pulumi";' },
    ],
    allowed: {
      "resources/domain-disk/resource.ts": 'import * as pulumi from "@pulumi/pulumi";',
      "dynamic.ts": 'import type { dynamic } from "@pulumi/pulumi";',
    },
  },
  {
    fact: "nothing starts a process on the machine that runs Pulumi",
    rule: rules.noChildProcess,
    broken: [
      { "host/host.ts": 'import { spawn } from "node:child_process";' },
      { "host/host.ts": 'const { spawn } = require("child_process");' },
      { "host/host.ts": 'const { spawn } = process.getBuiltinModule("child_process");' },
      { "host/host.ts": 'import cluster from "node:cluster";' },
    ],
  },
  {
    fact: "plans and disk/ do nothing to the world, nor does what they load",
    rule: rules.plansAreWithoutEffects,
    broken: [
      { "flows/move/plan.ts": 'import { readFile } from "node:fs/promises";' },
      { "core/disk/names.ts": 'import net from "net";' },
      {
        "flows/move/plan.ts": 'import { load } from "./manifest.js";',
        "flows/move/manifest.ts": 'import { setTimeout } from "node:timers/promises";',
      },
    ],
    allowed: {
      "flows/move/plan.ts": 'import type { Manifest } from "./manifest.js";',
      "flows/move/manifest.ts": 'import fs from "node:fs";',
    },
  },
  {
    fact: "what users import reads no file and opens no connection",
    rule: rules.resourcesAreWithoutEffects,
    broken: [
      {
        "resources/domain-disk/resource.ts": 'import { host } from "../../host/schema.js";',
        "host/schema.ts": 'import { Client } from "ssh2";',
      },
    ],
  },
  {
    fact: "plans and disk/ have no clock and no dice",
    rule: rules.plansHaveNoClock,
    broken: [
      { "flows/move/plan.ts": "const now = Date.now();" },
      { "core/disk/names.ts": "const now = new Date();" },
      { "flows/mirrored-snapshot/plan.ts": "const wait = () => setTimeout(() => undefined, 1);" },
    ],
    allowed: { "core/disk/names.ts": "const at = new Date(0); const text = (when: Date) => when.toISOString();" },
  },
  {
    fact: "between the engine and the hosts nothing but the world gives a chance or a deadline",
    rule: rules.chanceIsTheWorlds,
    broken: [
      { "storage/directory/copying.ts": "const suffix = Math.random();" },
      { "flows/move/loop.ts": "const dice = Math.random;" },
      { "image/compare.ts": "const late = AbortSignal.timeout(1000);" },
    ],
    allowed: {
      "host/pool.ts": "const late = AbortSignal.timeout(1000);",
      "pulumi/real-world.ts": "const dice = Math.random();",
      "flows/move/loop.ts": "const stop = AbortSignal.any([]); const most = Math.max(1, 2);",
    },
  },
  {
    fact: "between the engine and the hosts no module remembers anything",
    rule: rules.modulesRememberNothing,
    broken: [
      { "reconciler/queue.ts": "const lines = new Map<string, Line>();" },
      { "hypervisor/qemu/proc.ts": "const pids = new WeakMap<QmpSession, number>();" },
      { "hypervisor/libvirt/virsh.ts": "let untold = 0;" },
      { "flows/shared/looks.ts": "export const looks = { of: new Map<string, Look>() };" },
      { "core/async/slots.ts": "export const slots = new Slots(8);" },
      { "core/errors.ts": "var last: Error | undefined;" },
      { "image/headers.ts": "const known: Record<string, Header> = {};" },
      { "journal/lock.ts": "class Locks { static taken = 0; }" },
      { "journal/lock.ts": "class Locks { static readonly all = new Set<string>(); }" },
    ],
    allowed: {
      "host/pool.ts": "const pool = new Map<string, Connected>(); let modules: string[] | undefined;",
      "flows/move/loop.ts": 'const loading: ReadonlySet<string> = new Set(["begin"]); class Looks extends WeakMap<Host, Look> {}',
      "hypervisor/libvirt/xml.ts": 'const parser = new XMLParser({ trimValues: false }); const names = ["a", "b"] as const;',
      "reconciler/queue.ts":
        "class Queue { readonly lines = new Map<string, Line>(); static at(name: string) { return new Map([[name, 1]]); } }",
      "storage/directory/copy.ts": "export const make = () => new Map<string, number>();",
    },
  },
  {
    fact: "no file imports itself, by whatever way round",
    rule: rules.noCycles,
    broken: [
      {
        "core/disk/a.ts": 'import { b } from "./b.js";',
        "core/disk/b.ts": 'import type { C } from "./c.js";',
        "core/disk/c.ts": 'export * from "./a.js";',
      },
    ],
    allowed: { "core/disk/a.ts": 'import "./b.js"; import "./c.js";', "core/disk/b.ts": 'import "./c.js";', "core/disk/c.ts": "" },
  },
];

describe("the architecture of provider/", () => {
  for (const { fact, rule, debt: owed = [], broken, allowed } of held) {
    describe(fact, () => {
      it("holds, but for the debt", () => assert.deepEqual(rules.beyondDebt(rule(provider()), owed), { added: [], stale: [] }));

      it("would be found broken", () => {
        for (const plant of broken) assert.equal(rule(new Map(Object.entries(plant))).length, 1, JSON.stringify(plant));
        if (allowed !== undefined) assert.deepEqual(rule(new Map(Object.entries(allowed))), []);
      });
    });
  }

  it("owes nothing any more", () => assert.deepEqual(debt, { imports: [], folders: [] }));

  it("has a debt that a new arrow and a stale entry both break", () => {
    assert.deepEqual(rules.beyondDebt(["a.ts → b.ts"], ["c.ts → d.ts"]), { added: ["a.ts → b.ts"], stale: ["c.ts → d.ts"] });
  });

  it("is judged by all of its files", () => {
    const files = [...provider().keys()];
    assert.ok(files.includes("core/errors.ts") && files.includes("host/host.ts"), files.join());
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const others = entries
      .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
      .filter((file) => !files.includes(file));
    assert.deepEqual(
      others.filter((file) => !/^host\/worker\/\w+\.py$/.test(file)),
      [],
      "no rule reads these",
    );
  });
});
