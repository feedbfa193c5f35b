// Registers all disks that a file names, each as the kind of resource that the config says: DomainDisk, or one that does nothing.
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
const nothingType = "pulumi-nodejs:dynamic/livedisk:Nothing";

class Nothing extends pulumi.CustomResource {
  constructor(name, args) {
    super(nothingType, name, { __provider, __urn: pulumi.createUrn(name, nothingType), ...args });
  }
}

const config = new pulumi.Config();
const kinds = { DomainDisk: livedisk.DomainDisk, Nothing };
for (const [name, args] of JSON.parse(readFileSync(config.require("disks"), "utf8"))) new kinds[config.require("kind")](name, args);
