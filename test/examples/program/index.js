// Registers a machine and, with ALL, a disk, a move and a snapshot whose nested arguments are that machine's outputs.
const pulumi = require("@pulumi/pulumi");
const { DomainDisk, MirroredSnapshot, StorageMigration } = require("pulumi-livedisk");

/** What another provider would make: its outputs are known once it is there. */
class Machine extends pulumi.CustomResource {
  constructor(name, args) {
    const __provider = `exports.handler = () => ({
      check: async (olds, news) => ({ inputs: news, failures: [] }),
      diff: async () => ({ changes: false }),
      create: async (inputs) => ({ id: "machine", outs: { ...inputs, ip: inputs.address, socket: "/run/vm/web.qmp", disk: "vda" } }),
    })`;
    super("pulumi-nodejs:dynamic/program:Machine", name, { __provider, ...args, ip: undefined, socket: undefined, disk: undefined });
  }
}

const vm = new Machine("vm", { address: process.env.ADDRESS });
const host = { address: vm.ip, user: "root", jump: { address: vm.ip, user: "deploy" } };
const domain = { qmp: vm.socket };
if (process.env.ALL) {
  new DomainDisk("disk", { host, domain, disk: vm.disk });
  new StorageMigration("move", { host, domain, disks: [vm.disk], destination: "/srv/fast" });
  const mirror = pulumi.interpolate`/srv/fast/${vm.disk}.qcow2`;
  new MirroredSnapshot("snapshot", { host, domain, disks: [{ disk: vm.disk, file: "/srv/slow/old.migrate", mirror }] });
}
