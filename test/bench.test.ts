/** Each benchmark in its tiniest size: that it works, not what it finds. */

import assert from "node:assert/strict";
import path from "node:path";
import { run } from "./sandbox/command.js";

describe("the benchmark", function () {
  this.timeout(600_000);

  for (const name of ["drift", "move", "guest", "many", "switch", "footprint"])
    it(`${name} measures, in its tiniest size, and leaves nothing running`, async () => {
      const program = path.resolve(__dirname, "../bench/bench.js");
      const said = await run(process.execPath, [program, "--only", name, "--size", "tiny", "--json"], { timeoutSeconds: 500 });
      const { figures } = JSON.parse(said) as { figures: Record<string, { what: string; values: number[] }[]> };
      const found = figures[name] ?? [];
      assert(found.length > 0);
      for (const { what, values } of found) assert(values.length > 0 && values.every(Number.isFinite), `${what}: ${values}`);
    });

  it("that does not exist is refused in words", async () => {
    const program = path.resolve(__dirname, "../bench/bench.js");
    await assert.rejects(run(process.execPath, [program, "--only", "speed"]), /there is no benchmark speed, only drift, move/);
  });
});
