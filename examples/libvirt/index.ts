import * as pulumi from "@pulumi/pulumi";
import { DomainDisk, type DomainDiskArgs, StorageMigration } from "pulumi-livedisk";

const config = new pulumi.Config();
const host = config.requireObject<DomainDiskArgs["host"]>("host"); // { address, user, … }
const domain = { libvirt: config.require("domain"), uri: config.get("uri") ?? "qemu:///system" };

// moved live, with all below it; the next start of the domain finds it there
const web = new StorageMigration("web", { host, domain, disks: ["vda"], destination: config.require("destination") });

// adopted and reported where it is, running or shut off; nothing is ever moved
const system = new DomainDisk("web-system", { host, domain, disk: config.get("watched") ?? "vdb" });

export const vda = web.moves.apply((moves) => moves?.vda);
export const watched = { chain: system.chain, running: system.running };
