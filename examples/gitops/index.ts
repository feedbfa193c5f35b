// Where each guest's disks live is written in Pulumi.<stack>.yaml. A merge request changes a line there; ./pipeline.sh does the rest.
import * as pulumi from "@pulumi/pulumi";
import { StorageMigration, type StorageMigrationArgs } from "pulumi-livedisk";

/** One guest, as the stack's config names it. */
interface Guest {
  /** Its QMP socket on the host. */
  qmp: string;
  destination: string;
  disks?: string[];
  link?: string;
  maxBytesPerSecond?: number;
}

const config = new pulumi.Config();
const host = config.requireObject<StorageMigrationArgs["host"]>("host"); // { address, user, hostKey }: the key itself comes from the runner
const guests = Object.entries(config.requireObject<Record<string, Guest>>("guests"));

const moves = guests.map(
  ([name, { qmp, ...place }]) => [name, new StorageMigration(name, { host, domain: { qmp }, ...place }).moves] as const,
);

export const bootPaths = pulumi
  .output(Object.fromEntries(moves))
  .apply((all) =>
    Object.fromEntries(Object.entries(all).map(([name, disks]) => [name, Object.values(disks ?? {}).map(({ bootPath }) => bootPath)])),
  );
