/**
 * Loaded before a worker's tests (`--require`): what they import of the provider comes from another build of it, whose `dist/provider`
 * {@link againstVariable} names. So the rows of today run on a release of yesterday, without a second set of tests.
 */

import { existsSync, realpathSync } from "node:fs";
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

if (other !== undefined) {
  const loader = Module as unknown as Loader;
  const resolve = loader._resolveFilename;
  loader._resolveFilename = (request, ...rest) => {
    const found = resolve.call(loader, request, ...rest);
    if (!found.startsWith(own)) return found;
    const there = path.join(other, found.slice(own.length));
    if (!existsSync(there)) throw new Error(`The build in ${other} has no ${found.slice(own.length)}: let the row use what both have.`);
    return there;
  };
}
