/** Runs test files whose paths it is given as `npm test` runs its own, and ends as that does. */

import { report } from "../report.js";
import { runSuite } from "../suite.js";

void runSuite(process.argv.slice(2), { reporter: "count" }).then((results) => process.exit(report(results, {}, "some")));
