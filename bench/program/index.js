// Registers all disks that a file names, each as the kind of resource that the config says: DomainDisk, or one of two that do nothing.
const { readFileSync } = require("node:fs");
const pulumi = require("@pulumi/pulumi");
const livedisk = require("pulumi-livedisk");

// the engine's floor: read, check and diff that answer at once
const __provider = `exports.handler = () => ({
  check: async (olds, news) => ({ inputs: news, failures: [] }),
  diff: async () => ({ changes: false }),
  create: async (inputs) => ({ id: "nothing", outs: inputs }),
  read: async (id, props) => ({ id, props }),
})`;

/** With a DomainDisk's inputs alone. */
class Nothing extends pulumi.CustomResource {
  constructor(name, args, kind = "Nothing") {
    const type = `pulumi-nodejs:dynamic/livedisk:${kind}`;
    super(type, name, { __provider, __urn: pulumi.createUrn(name, type), ...args });
  }
}

/** With a DomainDisk's outputs too. */
class NothingAlike extends Nothing {
  constructor(name, args) {
    const outputs = { chain: undefined, bootPath: undefined, running: undefined, domainId: undefined, drift: undefined, phase: undefined };
    super(name, { ...args, ...outputs }, "NothingAlike");
  }
}

const config = new pulumi.Config();
const kinds = { DomainDisk: livedisk.DomainDisk, Nothing, NothingAlike };
for (const [name, args] of JSON.parse(readFileSync(config.require("disks"), "utf8"))) new kinds[config.require("kind")](name, args);
