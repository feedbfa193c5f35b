import path from "node:path";
import { nestedOutputs } from "./nested-outputs.js";

describe("outputs within arguments", function () {
  this.timeout(120_000);
  nestedOutputs(() => path.resolve(__dirname, "../../../test/examples/program"));
});
