// Says where a disk belongs; ./crontab looks every quarter of an hour whether it still is there. `onDrift` in the stack's config decides
// what a disk that somebody moved by hand is:
//
//   correct   a difference: `pulumi preview --expect-no-changes` fails and shows both places, and the next `pulumi up` moves it back
//   report    a warning and the output `drift`: the preview succeeds, and no `pulumi up` moves it until the program itself is changed
import * as pulumi from "@pulumi/pulumi";
import { StorageMigration, type StorageMigrationArgs } from "pulumi-livedisk";

const config = new pulumi.Config();

const web = new StorageMigration("web", {
  host: config.requireObject<StorageMigrationArgs["host"]>("host"), // { address, user, … }
  domain: { qmp: config.require("qmp") },
  disks: ["vda"],
  destination: config.require("destination"),
  onDrift: config.get("onDrift") === "report" ? "report" : "correct",
});

export const drift = web.drift;
