/** Runs the fixture's tests as `npm test` runs its own, and ends as that does. */

import path from "node:path";
import { report } from "../report.js";
import { runSuite } from "../suite.js";

void runSuite([path.join(__dirname, "fixture.js")], { reporter: "count" }).then((results) => process.exit(report(results, {}, "some")));
