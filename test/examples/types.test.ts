import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import path from "node:path";
import ts from "typescript";

const examples = path.resolve(__dirname, "../../../examples");

describe("the examples", function () {
  this.timeout(120_000);

  it("compile against what the package exports", () => {
    const names = readdirSync(examples);
    const { options } = configOf(path.join(examples, names[0] ?? "", "tsconfig.json"));
    const program = ts.createProgram({ rootNames: names.map((name) => path.join(examples, name, "index.ts")), options });
    const found = ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => `${file?.fileName}: ${JSON.stringify(messageText)}`);
    assert.deepEqual(found, []);
  });

  it("are projects of one kind", () => {
    const configs = readdirSync(examples).map((name) => configOf(path.join(examples, name, "tsconfig.json")).raw);
    for (const config of configs) assert.deepEqual(config, configs[0]);
  });
});

function configOf(file: string): ts.ParsedCommandLine {
  const parsed = ts.getParsedCommandLineOfConfigFile(
    file,
    {},
    { ...ts.sys, onUnRecoverableConfigFileDiagnostic: (problem) => assert.fail(JSON.stringify(problem.messageText)) },
  );
  assert(parsed !== undefined, file);
  return parsed;
}
