// Says how the package loads in this folder, by `import` and by `require`.
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { DomainDisk, MirroredSnapshot, Provider, StorageMigration } from "pulumi-livedisk";
import { providerFor } from "pulumi-livedisk/dynamic";

const require = createRequire(import.meta.url);
const required = require("pulumi-livedisk");
const itsOwn = createRequire(require.resolve("pulumi-livedisk"));

/** Installed copies of the SDK below a folder; links are not followed. */
function copies(folder) {
  const folders = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return folders.flatMap(({ name }) => {
    const inner = path.join(folder, name);
    return inner.endsWith(path.join("node_modules", "@pulumi", "pulumi")) ? [inner, ...copies(inner)] : copies(inner);
  });
}

console.log(
  JSON.stringify({
    sdk: require("@pulumi/pulumi/package.json").version,
    isOneSdk: require.resolve("@pulumi/pulumi") === itsOwn.resolve("@pulumi/pulumi"),
    copies: copies(path.join(import.meta.dirname, "node_modules")).length,
    areResources: [DomainDisk, MirroredSnapshot, StorageMigration].every((kind) => kind.prototype instanceof pulumi.CustomResource),
    isProvider: Provider.prototype instanceof pulumi.ProviderResource,
    isSameByRequire: required.DomainDisk === DomainDisk,
    isProvidedByBoth: require("pulumi-livedisk/dynamic").providerFor("DomainDisk") === providerFor("DomainDisk"),
  }),
);
