import * as pulumi from "@pulumi/pulumi";
import { StorageMigration } from "pulumi-livedisk";

const config = new pulumi.Config();

const web = new StorageMigration("web", {
  host: config.requireObject("host"), // { address, user, … }
  domain: { qmp: config.require("qmp") },
  disks: ["vda"],
  destination: config.require("destination"),
  link: config.get("link"),
});

export const vda = web.moves.apply((moves) => moves?.vda);
