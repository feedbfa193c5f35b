// A database's disks (root, tables, log) lie together behind one link, which the guest's command line goes through. They move in one
// operation: each is copied and mirrored, and when all mirrors are ready, all switch, or none does.
import * as pulumi from "@pulumi/pulumi";
import { StorageMigration, type StorageMigrationArgs } from "pulumi-livedisk";

const config = new pulumi.Config();

const db = new StorageMigration("db", {
  host: config.requireObject<StorageMigrationArgs["host"]>("host"), // { address, user, … }
  domain: { qmp: config.require("qmp") },
  disks: ["vda", "vdb", "vdc"], // left out, they would be all that the guest has when this is first run
  destination: config.require("destination"),
  link: config.require("link"),
  maxBytesPerSecond: config.getNumber("maxBytesPerSecond") ?? 0,
});

export const bootPaths = db.moves.apply((moves) =>
  Object.fromEntries(Object.entries(moves ?? {}).map(([disk, { bootPath }]) => [disk, bootPath])),
);
export const statuses = db.moves.apply((moves) =>
  Object.fromEntries(Object.entries(moves ?? {}).map(([disk, { status }]) => [disk, status])),
);
export const pauseMs = db.moves.apply((moves) => moves?.vda?.pauseMs);
