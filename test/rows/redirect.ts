/**
 * Loaded before a worker's tests (`--require`): what they import of the provider comes from another build of it, whose `dist/provider`
 * {@link againstVariable} names. So the rows of today run on a release of yesterday, without a second set of tests.
 */

import { existsSync, readFileSync, realpathSync } from "node:fs";
import Module from "node:module";
import path from "node:path";

export const againstVariable = "LIVEDISK_ROWS_AGAINST";

/** Of Node's loader; the one way to say where a module of CommonJS comes from. @see Node, module.registerHooks (24: release candidate) */
interface Loader {
  _resolveFilename: (request: string, ...rest: unknown[]) => string;
}

const own = `${path.resolve(__dirname, "../../provider")}${path.sep}`;
const named = process.env[againstVariable];
// as the loader names its files: by another name each module would be there twice
const other = named === undefined ? undefined : realpathSync(named);

/** Where 0.1.0 had its files: today's place → the one then, both below provider/. */
const moved: Readonly<Record<string, string>> = JSON.parse(readFileSync(path.resolve(__dirname, "../../../test/rows/moved.json"), "utf8"));

/** What tests are made with since there is a world; a release without it does not ask for it. Both import nothing else of the provider. */
const unknownBefore = ["core/world.js", "pulumi/real-world.js"];

function placeBefore(file: string): string {
  return (moved[file.replace(/\.js$/, ".ts")] ?? file).replace(/\.ts$/, ".js");
}

if (other !== undefined) {
  const loader = Module as unknown as Loader;
  const resolve = loader._resolveFilename;
  loader._resolveFilename = (request, ...rest) => {
    const found = resolve.call(loader, request, ...rest);
    if (!found.startsWith(own)) return found;
    const file = found.slice(own.length);
    const there = [file, placeBefore(file)].map((name) => path.join(other, name)).find((name) => existsSync(name));
    if (there === undefined && unknownBefore.includes(file)) return found;
    if (there === undefined) throw new Error(`The build in ${other} has no ${file}: let the row use what both have.`);
    return there;
  };
}
