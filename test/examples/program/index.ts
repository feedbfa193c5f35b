// Compiled only: what a program may write, and what it may not.
import * as pulumi from "@pulumi/pulumi";
import {
  DomainDisk,
  type DomainDiskArgs,
  type LayerReport,
  MirroredSnapshot,
  Provider,
  StorageMigration,
  type StorageMigrationArgs,
} from "pulumi-livedisk";
import { providerFor } from "pulumi-livedisk/dynamic";

declare const vm: { ip: pulumi.Output<string>; port: pulumi.Output<number>; disk: pulumi.Output<string>; later: Promise<string> };

const jump = { address: vm.ip, port: vm.port, user: "deploy", hostKey: vm.later };
const host = { address: vm.ip, port: vm.port, user: pulumi.interpolate`root`, jump };
const credentials = new Provider("lab", { password: pulumi.secret("x") });

const disk = new DomainDisk("disk", { host, domain: { libvirt: vm.ip, uri: pulumi.interpolate`qemu:///system` }, disk: vm.disk });
export const top: pulumi.Output<LayerReport | undefined> = disk.chain.apply(([first]) => first);

const common: Pick<StorageMigrationArgs, "host" | "domain" | "destination"> = { host, domain: { qmp: vm.ip }, destination: disk.bootPath };
new StorageMigration("list", { ...common, disks: [vm.disk, "vdb"], loses: ["bitmaps"] }, { provider: credentials });
new StorageMigration("whole", { ...common, host: pulumi.output({ address: "db-3", user: "root" }), disks: pulumi.output([vm.disk]) });
new StorageMigration("frozen", {
  ...common,
  strategy: "snapshot",
  collapse: vm.disk.apply(() => "pull" as const),
  restartDuringMove: "from-manifest",
});

declare const config: pulumi.Output<{ port?: number; link?: string; uri?: string; password?: string; moves?: number; hosts?: string[] }>;
const maybe = {
  address: vm.ip,
  user: "root",
  port: config.apply(({ port }) => port),
  jump: pulumi.output<typeof plainJump | undefined>(undefined),
};
const plainJump = { address: "jump", user: "root" };
new StorageMigration("maybe", {
  host: maybe,
  domain: { libvirt: "web", uri: config.uri },
  destination: "/srv/fast",
  link: config.link,
  disks: pulumi.secret(config.hosts),
});
new DomainDisk("left out", {
  host: { ...maybe, jump: undefined },
  domain: { libvirt: "web", uri: undefined },
  disk: "vda",
  base: undefined,
});
new DomainDisk("followed", { host: maybe, domain: { qmp: vm.ip }, disk: "vda", storage: disk.storage });
new Provider("maybe", { password: config.password, movesPerHost: config.moves, passwordFor: config.hosts });

const files = { file: pulumi.interpolate`/path1/${vm.disk}`, mirror: vm.later };
new MirroredSnapshot("objects", {
  host,
  domain: { qmp: vm.ip },
  disks: [{ disk: vm.disk, ...files }, pulumi.output({ disk: "vdb", file: "/a", mirror: "/b" })],
});
new MirroredSnapshot("texts", {
  host,
  domain: { qmp: vm.ip },
  diskspecs: [pulumi.interpolate`${vm.disk},file=/a,mirror=/b`],
  onDelete: "pivot",
});

export const plain: DomainDiskArgs = { host: { address: "db-3", user: "root" }, domain: { qmp: "/run/web.qmp" }, disk: "vda" };
// @ts-expect-error: a number is no address, in an output neither
export const number: DomainDiskArgs = { ...plain, host: { address: vm.port, user: "root" } };
export const unknownKey: DomainDiskArgs = {
  ...plain,
  // @ts-expect-error: a host has no such argument
  host: { address: vm.ip, user: "root", password: vm.ip },
};
// @ts-expect-error: a host has an address for sure
export const maybeNone: DomainDiskArgs = { ...plain, host: { address: config.link, user: "root" } };
// @ts-expect-error: collapse goes with strategy snapshot only
export const excluded: StorageMigrationArgs = { ...common, strategy: "mirror", collapse: "pull" };

export const provider = providerFor("DomainDisk");
