import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import ts from "typescript";
import { comparesNestedOutputs } from "../engine/nested-outputs.js";
import { type Checkout, Runner } from "./checkout.js";
import { install, type Manager, pack, sdks } from "./installing.js";

const repository = path.resolve(__dirname, "../../..");
const examples = path.join(repository, "examples");

describe("the examples", function () {
  this.timeout(180_000);

  it("compile against what the package exports", () => {
    const names = readdirSync(examples);
    const { options } = configOf(path.join(examples, names[0] ?? "", "tsconfig.json"));
    const program = ts.createProgram({ rootNames: names.map((name) => path.join(examples, name, "index.ts")), options });
    assert.deepEqual(problemsOf(program), []);
  });

  it("are projects of one kind", () => {
    const configs = readdirSync(examples).map((name) => configOf(path.join(examples, name, "tsconfig.json")).raw);
    for (const config of configs) assert.deepEqual(config, configs[0]);
  });
});

/** Installed once for all, the three side by side: about twenty seconds on two idle cores. */
describe("the packed package", function () {
  this.timeout(300_000);
  const chosen: readonly [Manager, string][] = [
    ["npm", sdks.oldest],
    ["pnpm", sdks.newest],
    ["yarn", sdks.newest],
  ];
  const projects = new Map<Manager, Checkout>();
  const folderOf = (manager: Manager) => projects.get(manager)?.folder ?? assert.fail(`${manager} has installed nothing`);
  let folder = "";

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), "livedisk-packed-"));
    const runner = await Runner.make(folder);
    const tarball = await pack(folder);
    await Promise.all(chosen.map(async ([manager, sdk]) => projects.set(manager, await install(runner, manager, { tarball, sdk }))));
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const [manager, sdk] of chosen) {
    describe(`installed by ${manager} beside SDK ${sdk}`, () => {
      it("is what was packed, and not what was kept of a build before", () => {
        const installed = path.join(folderOf(manager), "node_modules/pulumi-livedisk");
        for (const file of ["package.json", "dist/provider/index.d.ts", "dist/provider/host/worker/main.py"])
          assert.equal(readFileSync(path.join(installed, file), "utf8"), readFileSync(path.join(repository, file), "utf8"), file);
      });

      it("loads by import and by require, with the program's SDK and no other", async () => {
        const told = await projects.get(manager)?.must(process.execPath, "load.mjs");
        assert.deepEqual(JSON.parse(told ?? ""), {
          ...{ sdk, isOneSdk: true, copies: 1 },
          ...{ areResources: true, isProvider: true, isSameByRequire: true, isProvidedByBoth: true },
        });
      });

      // yarn lays out as npm does
      for (const config of manager === "yarn" ? ["tsconfig.json"] : ["tsconfig.json", "tsconfig.nodenext.json"]) {
        it(`compiles with ${config}, all declarations checked`, () => {
          const { fileNames, options } = configOf(path.join(folderOf(manager), config));
          assert.deepEqual(problemsOf(ts.createProgram({ rootNames: fileNames, options: { ...options, noEmit: true } })), []);
        });
      }

      if (manager !== "yarn") comparesNestedOutputs(() => folderOf(manager));
    });
  }

  it("has a comment for every argument, where an editor shows it", () => {
    const { fileNames, options } = configOf(path.join(folderOf("npm"), "tsconfig.json"));
    const program = ts.createProgram({ rootNames: fileNames, options });
    const arguments_ = argumentsIn(program.getTypeChecker(), program.getSourceFile(fileNames[0] ?? ""));
    for (const known of ["host", "address", "jump", "qmp", "uri", "verify", "collapse", "strategy", "file", "onDelete"]) {
      assert(arguments_.has(known), `${known} among ${[...arguments_.keys()]}`);
    }
    assert.deepEqual(
      [...arguments_].filter(([, comment]) => comment === ""),
      [],
    );
  });
});

/** The keys of all objects that are written in the program as arguments of resources, each with what an editor shows of it. */
function argumentsIn(checker: ts.TypeChecker, file: ts.SourceFile | undefined): Map<string, string> {
  const found = new Map<string, string>();
  const look = (type: ts.Type, depth: number): void => {
    for (const each of type.isUnion() ? type.types : [type]) {
      const item = checker.isArrayType(each) ? each.getNumberIndexType() : undefined;
      if (item) look(item, depth);
      else if (isOurs(each, checker)) for (const key of checker.getPropertiesOfType(each)) note(key, depth);
    }
  };
  const note = (key: ts.Symbol, depth: number): void => {
    found.set(key.name, ts.displayPartsToString(key.getDocumentationComment(checker)));
    if (depth < 4) look(checker.getTypeOfSymbol(key), depth + 1);
  };
  const visit = (node: ts.Node): void => {
    const [, given] = ts.isNewExpression(node) ? (node.arguments ?? []) : [];
    const wanted = given && checker.getContextualType(given);
    if (wanted) look(wanted, 0);
    ts.forEachChild(node, visit);
  };
  if (file) visit(file);
  return found;
}

/** Not an output, a promise or a text: those have methods. */
function isOurs(type: ts.Type, checker: ts.TypeChecker): boolean {
  const keys = checker.getPropertiesOfType(type);
  return (
    (type.flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection)) !== 0 && !keys.some(({ name }) => name === "apply" || name === "then")
  );
}

function problemsOf(program: ts.Program): string[] {
  return ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => `${file?.fileName}: ${JSON.stringify(messageText)}`);
}

function configOf(file: string): ts.ParsedCommandLine {
  const parsed = ts.getParsedCommandLineOfConfigFile(
    file,
    {},
    { ...ts.sys, onUnRecoverableConfigFileDiagnostic: (problem) => assert.fail(JSON.stringify(problem.messageText)) },
  );
  assert(parsed !== undefined, file);
  return parsed;
}
