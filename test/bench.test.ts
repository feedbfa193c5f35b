/** Each benchmark in its tiniest size: that it works, not what it finds. */

import assert from "node:assert/strict";
import path from "node:path";
import { run } from "./sandbox/command.js";

interface Report {
  figures: Record<string, { what: string; values: number[]; wanted?: object }[]>;
  verdicts: { what: string; verdict: string }[];
}

describe("the benchmark", function () {
  this.timeout(600_000);

  for (const name of ["drift", "move", "guest", "many", "switch", "footprint"])
    it(`${name} measures, in its tiniest size, and leaves nothing running`, async () => {
      const program = path.resolve(__dirname, "../bench/bench.js");
      const said = await run(process.execPath, [program, "--only", name, "--size", "tiny", "--json"], { timeoutSeconds: 500 });
      const { figures, verdicts } = JSON.parse(said) as Report;
      const found = figures[name] ?? [];
      assert(found.length > 0);
      for (const { what, values } of found) assert(values.length > 0 && values.every(Number.isFinite), `${what}: ${values}`);
      const wanted = found.filter((figure) => figure.wanted !== undefined).map(({ what }) => what);
      assert.deepEqual(
        verdicts.map(({ what }) => what),
        wanted,
      );
      assert(verdicts.every(({ verdict }) => verdict === "met" || verdict === "missed"));
    });

  it("that does not exist, or has no count, is refused in words", async () => {
    const program = path.resolve(__dirname, "../bench/bench.js");
    const counted = run(process.execPath, [program, "--only", "drift", "--count", "3"]);
    await assert.rejects(counted, /--count is a number, and goes with --only switch/);
    await assert.rejects(run(process.execPath, [program, "--only", "speed"]), /there is no benchmark speed, only drift, move/);
  });
});
