/** The SDK's programs that run a project, as the engine finds them. */

import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** The folder of the SDK that a program in `folder` would load; the repository's own where it has none. */
export function sdkOf(folder: string): string {
  try {
    return dirname(createRequire(join(folder, "index.js")).resolve("@pulumi/pulumi/package.json"));
  } catch {
    return dirname(require.resolve("@pulumi/pulumi/package.json"));
  }
}
