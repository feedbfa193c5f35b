// A running guest's disk goes from /path1 to /path2 by a mirrored snapshot. `step` in the stack's config says how far:
//
//   1. make the two files, which name old.qcow2 relatively (it need not be there yet, hence -u):
//        qemu-img create -u -f qcow2 -b old.qcow2 -F qcow2 /path1/to/old.migrate <size>
//        qemu-img create -u -f qcow2 -b old.qcow2 -F qcow2 /path2/to/new.qcow2 <size>
//   2. pulumi config set step mirror && pulumi up      the guest writes to old.migrate, and every write goes to new.qcow2 too
//   3. cp --sparse=always /path1/to/common.qcow2 /path1/to/old.qcow2 /path2/to/
//   4. pulumi config set step pivot && pulumi up       the guest runs on /path2 alone
//   5. pulumi config set step shorten && pulumi up     old.qcow2 is pulled up into new.qcow2, which then stands on common.qcow2
import * as pulumi from "@pulumi/pulumi";
import { DomainDisk, MirroredSnapshot } from "pulumi-livedisk";

const config = new pulumi.Config();
const guest = {
  host: config.requireObject<{ address: string; user: string }>("host"), // and what else tells how to reach it
  domain: { qmp: config.require("qmp") },
};
const step = config.require("step");
const [path1, path2] = [config.require("path1"), config.require("path2")];

// Taking it out of the program deletes it, and deleting it pivots.
const snapshot =
  step === "mirror"
    ? new MirroredSnapshot("web", {
        ...guest,
        reuseExternal: true,
        diskspecs: [`vda,file=${path1}/old.migrate,mirror=${path2}/new.qcow2`],
        copyMode: config.get("copyMode") === "write-blocking" ? "write-blocking" : "background",
        onDelete: "pivot",
      })
    : undefined;

const disk = step === "shorten" ? new DomainDisk("web-root", { ...guest, disk: "vda", base: `${path2}/common.qcow2` }) : undefined;

export const xml = snapshot?.xml;
export const states = snapshot?.states;
export const chain = disk?.chain;
