/** Projects that have the packed package installed by npm, pnpm and yarn, each from the registry that npm is set to. */

import { copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { run } from "../sandbox/command.js";
import { cacheFolder } from "../sandbox/kernel.js";
import type { Checkout, Runner } from "./checkout.js";

const repository = path.resolve(__dirname, "../../..");
const project = path.join(repository, "test/examples/program");

const ours: { peerDependencies: Record<string, string>; devDependencies: Record<string, string> } = JSON.parse(
  readFileSync(path.join(repository, "package.json"), "utf8"),
);

/** Both ends of the range of SDKs: where it begins, and the newest, with which the repository itself is tested. */
export const sdks = {
  oldest: (ours.peerDependencies["@pulumi/pulumi"] ?? "").replace("^", ""),
  newest: ours.devDependencies["@pulumi/pulumi"] ?? "",
} as const;

export type Manager = "npm" | "pnpm" | "yarn";

const programOf = (manager: Manager) => (manager === "npm" ? "npm" : path.join(repository, "node_modules/.bin", manager));

/** No script of any package runs. What was fetched before is not fetched again, but for npm's own cache in `.cache/`. */
const flags: Readonly<Record<Manager, readonly string[]>> = {
  npm: ["--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"],
  pnpm: [
    "--ignore-scripts",
    "--prefer-offline",
    "--store-dir",
    path.join(cacheFolder, "pnpm"),
    "--cache-dir",
    path.join(cacheFolder, "pnpm"),
  ],
  yarn: ["--ignore-scripts", "--prefer-offline", "--no-progress", "--cache-folder", path.join(cacheFolder, "yarn")],
};

/**
 * What `npm publish` would publish, of what is built. In a folder with the name of its content: yarn 1 keeps what it has once unpacked under the
 * path from the project to the tarball, and would install that again (TarballResolver, 1.22.22).
 * @returns the tarball's path
 */
export async function pack(folder: string): Promise<string> {
  const told = await run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder], { folder: repository });
  const [{ filename, shasum }]: [{ filename: string; shasum: string }] = JSON.parse(told);
  const tarball = path.join(folder, shasum, filename);
  mkdirSync(path.dirname(tarball));
  renameSync(path.join(folder, filename), tarball);
  return tarball;
}

/** A copy of test/examples/program, with the package and that SDK as a user would install them. */
export async function install(runner: Runner, manager: Manager, packed: { tarball: string; sdk: string }): Promise<Checkout> {
  const checkout = runner.copy(project, manager);
  const dependencies = { "@pulumi/pulumi": packed.sdk, "pulumi-livedisk": `file:${packed.tarball}` };
  const devDependencies = { "@types/node": ours.devDependencies["@types/node"] };
  const own = JSON.parse(readFileSync(path.join(project, "package.json"), "utf8"));
  writeFileSync(path.join(checkout.folder, "package.json"), JSON.stringify({ ...own, dependencies, devDependencies }));
  copyFileSync(path.join(project, "index.ts"), path.join(checkout.folder, "index.mts"));
  const registry = (await run("npm", ["config", "get", "registry"])).trim();
  await checkout.must(programOf(manager), "install", "--registry", registry, ...flags[manager]);
  return checkout;
}
