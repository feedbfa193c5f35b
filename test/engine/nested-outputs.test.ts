import path from "node:path";
import { nestedOutputs } from "./nested-outputs.js";

describe("outputs within arguments", function () {
  this.timeout(180_000);
  nestedOutputs(() => path.resolve(__dirname, "../../../test/examples/program"));
});
