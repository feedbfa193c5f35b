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

/** A rule, and what it says about planted sources; each plant breaks the rule exactly once. */
interface Held {
  fact: string;
  rule: rules.Rule;
  broken: Readonly<Record<string, string>>[];
  /** Looks like the above, and is allowed. */
  allowed?: Readonly<Record<string, string>>;
}

const held: Held[] = [
  {
    fact: "imports point from the resources down to the host",
    rule: rules.arrowsPointDown,
    broken: [
      { "host/files.ts": 'import { create } from "../image/qcow2.js";' },
      { "image/copy.ts": 'import type { Guest } from "../hypervisor/hypervisor.js";' },
      { "hypervisor/qemu/guest.ts": 'export { loop } from "../../migration/loop.js";' },
      { "migration/loop.ts": 'const late = () => import("../domain-disk/lifecycle.js");' },
      { "domain-disk/lifecycle.ts": 'import { move } from "../storage-migration/lifecycle.js";' },
      { "disk/chain.ts": 'import type { Host } from "../host/host.js";' },
      { "errors.ts": 'import type { Lifecycle } from "./lifecycle.js";' },
      { "lifecycle.ts": 'import { connect } from "./host/host.js";' },
      { "pulumi/adapter.ts": 'import { observe } from "../migration/observe.js";' },
      { "host/host.ts": 'import { gone } from "../lifecycle.js";' },
      { "index.ts": 'import { observe } from "./migration/observe.js";' },
      { "disk/chain.ts": 'import { isUnknown } from "../arguments.js";' },
    ],
    allowed: {
      "domain-disk/lifecycle.ts": 'import { loop } from "../migration/loop.js"; import { gone } from "../lifecycle.js";',
      "migration/loop.ts": 'import { key } from "../disk/names.js"; import { run } from "../host/host.js";',
      "index.ts": 'export { DomainDisk } from "./domain-disk/resource.js"; export type { Report } from "./migration/report.js";',
      "dynamic.ts": 'const load = require("./domain-disk/lifecycle.js"); import { adapt } from "./pulumi/adapter.js";',
    },
  },
  {
    fact: "only dynamic.ts joins the engine's adapter with the lifecycles",
    rule: rules.pulumiIsJoinedOnce,
    broken: [{ "domain-disk/resource.ts": 'import { guard } from "../pulumi/guard.js";' }],
    allowed: { "dynamic.ts": 'import { adapt } from "./pulumi/adapter.js";' },
  },
  {
    fact: "only host/ speaks SSH",
    rule: rules.ssh2OnlyInHost,
    broken: [{ "image/copy.ts": 'import type { Client } from "ssh2";' }, { "dynamic.ts": 'const ssh = require("ssh2/lib/client");' }],
    allowed: { "host/connection.ts": 'import { Client } from "ssh2";' },
  },
  {
    fact: "only hypervisor/libvirt/ reads XML",
    rule: rules.xmlOnlyInLibvirt,
    broken: [{ "mirrored-snapshot/xml.ts": 'import { XMLParser } from "fast-xml-parser";' }],
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
      { "migration/loop.ts": 'import * as pulumi from "@pulumi/pulumi";' },
      { "disk/chain.ts": 'import type { Input } from "@pulumi/pulumi/output.js";' },
      { "dynamic.ts": 'import { dynamic } from "@pulumi/pulumi";' },
      { "inputs.ts": 'import { output } from "@pulumi/pulumi";' },
    ],
    allowed: {
      "domain-disk/resource.ts": 'import * as pulumi from "@pulumi/pulumi";',
      "dynamic.ts": 'import type { dynamic } from "@pulumi/pulumi";',
    },
  },
  {
    fact: "nothing starts a process on the machine that runs Pulumi",
    rule: rules.noChildProcess,
    broken: [
      { "host/host.ts": 'import { spawn } from "node:child_process";' },
      { "host/host.ts": 'const { spawn } = require("child_process");' },
    ],
  },
  {
    fact: "plans and disk/ do nothing to the world, nor does what they load",
    rule: rules.plansAreWithoutEffects,
    broken: [
      { "migration/plan.ts": 'import { readFile } from "node:fs/promises";' },
      { "disk/names.ts": 'import net from "net";' },
      {
        "migration/plan.ts": 'import { load } from "./manifest.js";',
        "migration/manifest.ts": 'import { setTimeout } from "node:timers/promises";',
      },
    ],
    allowed: {
      "migration/plan.ts": 'import type { Manifest } from "./manifest.js";',
      "migration/manifest.ts": 'import fs from "node:fs";',
    },
  },
  {
    fact: "what users import reads no file and opens no connection",
    rule: rules.resourcesAreWithoutEffects,
    broken: [
      { "domain-disk/resource.ts": 'import { host } from "../host/schema.js";', "host/schema.ts": 'import { Client } from "ssh2";' },
    ],
  },
  {
    fact: "plans and disk/ have no clock and no dice",
    rule: rules.plansHaveNoClock,
    broken: [
      { "migration/plan.ts": "const now = Date.now();" },
      { "disk/names.ts": "const now = new Date();" },
      { "mirrored-snapshot/plan.ts": "const wait = () => setTimeout(() => undefined, 1);" },
    ],
    allowed: { "disk/names.ts": "const at = new Date(0); const text = (when: Date) => when.toISOString();" },
  },
  {
    fact: "no file imports itself, by whatever way round",
    rule: rules.noCycles,
    broken: [
      {
        "disk/a.ts": 'import { b } from "./b.js";',
        "disk/b.ts": 'import type { C } from "./c.js";',
        "disk/c.ts": 'export * from "./a.js";',
      },
    ],
    allowed: { "disk/a.ts": 'import "./b.js"; import "./c.js";', "disk/b.ts": 'import "./c.js";', "disk/c.ts": "" },
  },
  {
    fact: "every file can be read in one go",
    rule: rules.filesAreShort,
    broken: [{ "disk/chain.ts": "\n".repeat(300).concat("export {};") }],
    allowed: { "disk/chain.ts": "\n".repeat(299).concat("export {};\n") },
  },
];

describe("the architecture of provider/", () => {
  for (const { fact, rule, broken, allowed } of held) {
    describe(fact, () => {
      it("holds", () => assert.deepEqual(rule(provider()), []));

      it("would be found broken", () => {
        for (const plant of broken) assert.equal(rule(new Map(Object.entries(plant))).length, 1, JSON.stringify(plant));
        if (allowed !== undefined) assert.deepEqual(rule(new Map(Object.entries(allowed))), []);
      });
    });
  }

  it("is judged by all of its files", () => {
    const files = [...provider().keys()];
    assert.ok(files.includes("errors.ts") && files.includes("host/host.ts"), files.join());
  });
});
