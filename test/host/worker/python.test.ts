import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { copyFile } from "../../../provider/host/worker/copying.js";
import { fileStatus } from "../../../provider/host/worker/files.js";
import { acquireLock } from "../../../provider/host/worker/locks.js";
import { runProgram } from "../../../provider/host/worker/programs.js";
import { run } from "../../sandbox/command.js";
import { localWorker, scratch, withWorkers } from "./harness.js";
import { nameOf, oldestPython, type Python, pythons, pythonTests, sources } from "./pythons.js";

const modules = readdirSync(path.join(sources, "worker"))
  .filter((file) => file.endsWith(".py"))
  .map((file) => path.join("worker", file));
const testModules = readdirSync(pythonTests).filter((file) => file.endsWith(".py"));

/** `test_wire.Input.test_its_end_is_told`, as unittest names it; so each is a row here before it has run. */
function pythonRows(): string[] {
  return testModules.flatMap((file) => {
    let current = "";
    return readFileSync(path.join(pythonTests, file), "utf8")
      .split("\n")
      .flatMap((line) => {
        current = /^class (\w+)/.exec(line)?.[1] ?? current;
        const [, test] = /^ {4}def (test_\w+)/.exec(line) ?? [];
        return test === undefined ? [] : [`${path.basename(file, ".py")}.${current}.${test}`];
      });
  });
}

function inWords(row: string): string {
  const [module = "", suite = "", test = ""] = row.split(".");
  return `${module.replace("test_", "")}, ${suite}: ${test.replace("test_", "").replaceAll("_", " ")}`;
}

async function runTests({ program }: Python): Promise<Record<string, string | null>> {
  const environment = { PATH: process.env.PATH, LC_ALL: "C", PYTHONPATH: sources, PYTHONDONTWRITEBYTECODE: "1" };
  const said = await run(program, [path.join(pythonTests, "run.py")], { environment, timeoutSeconds: 50 });
  return JSON.parse(said);
}

/** Linters tell on their standard output. */
async function findsNothing(words: readonly string[], environment = process.env): Promise<void> {
  const said = await run("sh", ["-c", '"$@"; echo "status $?"', "sh", ...words], { folder: sources, environment });
  const findings = said.split("\n").filter((line) => line !== "" && !line.startsWith("Success: "));
  assert.deepEqual(findings, ["status 0"]);
}

const { own, others } = pythons();
const oldest = oldestPython();

describe("the worker's program", function () {
  this.timeout(60_000);

  it("is typed throughout, and so are its tests", async () => {
    const options = ["--strict", "--explicit-package-bases", "--namespace-packages", "--python-version", "3.6", "--cache-dir", "/dev/null"];
    const environment = { ...process.env, MYPYPATH: `${sources}:${pythonTests}` };
    await findsNothing(["mypy", ...options, ...modules, ...testModules.map((file) => path.join(pythonTests, file))], environment);
  });

  it("has no finding of flake8, and neither have its tests", async () => {
    await findsNothing(["flake8", "--isolated", "--max-line-length", "140", ...modules, pythonTests]);
  });

  it("has the syntax of python 3.6, whatever python checks it", async () => {
    const script = "import ast, sys\nfor name in sys.argv[1:]: ast.parse(open(name).read(), name, feature_version=(3, 6))";
    await run(own.program, ["-c", script, ...modules], { folder: sources });
  });

  it("imports nothing but the standard library", async () => {
    const script = `import ast, sys
for name in sys.argv[1:]:
    for node in ast.walk(ast.parse(open(name).read())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module] if isinstance(node, ast.ImportFrom) else []
        for one in names:
            if one.split(".")[0] not in sys.stdlib_module_names | {"worker"}: sys.exit(name + " imports " + one)`;
    await run(own.program, ["-c", script, ...modules], { folder: sources });
  });

  it("has modules of at most 250 lines", () => {
    const long = modules.filter((file) => readFileSync(path.join(sources, file), "utf8").split("\n").length > 251);
    assert.deepEqual(long, []);
  });
});

for (const python of [own, ...(oldest.version === own.version ? [] : [oldest])]) {
  describe(`the worker's modules on ${nameOf(python)}`, function () {
    this.timeout(60_000);
    let ends: Record<string, string | null>;

    before(async () => {
      ends = await runTests(python);
    });

    it("have no test that is not a row here", () => {
      assert.deepEqual(Object.keys(ends).sort(), pythonRows().sort());
    });

    for (const row of pythonRows()) it(inWords(row), () => assert.equal(ends[row], null, ends[row] ?? "it did not run"));
  });
}

describe("the whole worker", function () {
  withWorkers(this);

  for (const python of others) {
    it(`works on ${nameOf(python)}`, async () => {
      const worker = await localWorker({ python: python.program });
      assert.match(worker.hello.python, new RegExp(`^3\\.${python.version % 100}\\.`));
      const folder = await scratch();
      const lock = await acquireLock(worker, { path: path.join(folder, "lock") }, { waitSeconds: 0 });
      const [from, to] = [{ path: path.join(folder, "ü") }, { path: path.join(folder, "to") }];
      await writeFile(from.path, Buffer.alloc(1_000_001, "data"));
      await writeFile(to.path, "");
      assert.equal((await copyFile(worker, { from, to }, { locks: [lock.number] })).sizeBytes, 1_000_001);
      assert.equal((await runProgram(worker, ["cmp", from.path, to.path])).exitStatus, 0);
      assert(await fileStatus(worker, to));
      await lock.releaseAndRemove();
      await rm(to.path);
      await worker.close();
    });
  }
});
