/** What every engine must do with our adapter. One suite runs on the harness and on a real CLI. */

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Change, type Engine, type OperationOptions, type OperationResult, openEngine } from "./engine.js";
import { isSecret } from "./values.js";

/** The fixtures are not compiled: they are found from the repository's root, two folders above `dist/test`. */
const fixtures = resolve(__dirname, "../../../test/engine");

interface Wanted {
  name: string;
  args?: Record<string, string>;
  [option: string]: unknown;
}

export function engineBehaviour(prefer: "harness" | "cli"): void {
  describe(`a stack in the ${prefer}`, function () {
    this.timeout(120_000);
    let folder: string;
    let engine: Engine;

    beforeEach(async () => {
      folder = mkdtempSync(join(tmpdir(), "livedisk-engine-"));
      mkdirSync(join(folder, "reality"));
      const secrets = { "fixture:token": "hidden value" };
      engine = await openEngine({ project: join(fixtures, "fixture"), workFolder: join(folder, "work"), secrets, prefer });
    });

    afterEach(() => rmSync(folder, { recursive: true }));

    const reality = (name: string) => join(folder, "reality", name);
    const options = (resources: Wanted[], more: OperationOptions = {}): OperationOptions => ({
      ...more,
      env: { REALITY: join(folder, "reality"), RESOURCES: JSON.stringify(resources) },
    });
    const web = (storage: string, more = {}): Wanted[] => [{ name: "web", args: { name: "web", storage }, ...more }];
    const stored = (result: OperationResult, name: string) =>
      result.state.deployment.resources.find(({ urn }) => urn.endsWith(`:FileDisk::${name}`));

    it("creates, and finds nothing to do the second time", async () => {
      const created = await engine.up(options(web("/path1")));
      assert.ok(created.ok, created.output);
      assert.deepEqual(created.outputs, { actual: { web: "/path1" } });
      assert.match(created.output, /web.*copying 50 %/);
      const again = await engine.up(options(web("/path1"), { expectNoChanges: true }));
      assert.ok(again.ok, again.output);
      assert.deepEqual(changed(again.changes), []);
    });

    it("creates nothing in a preview", async () => {
      const preview = await engine.preview(options(web("/path1")));
      assert.ok(preview.ok, preview.output);
      assert.deepEqual(ops(preview), { web: "create" });
      assert.ok(!existsSync(reality("web")));
      assert.deepEqual(preview.state.deployment.resources ?? [], []);
    });

    it("shows drift as the one property that differs, and puts it back", async () => {
      await engine.up(options(web("/path1")));
      writeFileSync(reality("web"), "/path9");
      const preview = await engine.preview(options(web("/path1"), { expectNoChanges: true }));
      assert.ok(!preview.ok);
      assert.deepEqual(changed(preview.changes), [["web", "update", ["storage"]]]);
      assert.match(preview.output, /storage: "\/path9" => "\/path1"/);
      assert.equal(readFileSync(reality("web"), "utf8"), "/path9");
      assert.ok((await engine.up(options(web("/path1")))).ok);
      assert.equal(readFileSync(reality("web"), "utf8"), "/path1");
    });

    it("refreshes: takes drift into the state, and forgets what is gone", async () => {
      await engine.up(options([...web("/path1"), { name: "db", args: { name: "db", storage: "/path1" } }]));
      writeFileSync(reality("web"), "/path9");
      rmSync(reality("db"));
      const refreshed = await engine.refresh(options([]));
      assert.ok(refreshed.ok, refreshed.output);
      assert.deepEqual(changed(refreshed.refreshed).sort(), [
        ["db", "delete", []],
        ["web", "update", ["storage"]],
      ]);
      assert.equal(stored(refreshed, "web")?.inputs.storage, "/path9");
      assert.equal(stored(refreshed, "db"), undefined);
    });

    it("keeps a half-made resource, and goes on with it next time", async () => {
      writeFileSync(reality("web.fills"), "");
      const failed = await engine.up(options(web("/path1")));
      assert.ok(!failed.ok);
      assert.match(failed.output, /Unable to copy: \/path2 is full/);
      assert.deepEqual(stored(failed, "web")?.initErrors, ["Unable to copy: /path2 is full. Free space."]);
      assert.equal(stored(failed, "web")?.outputs.schemaVersion, 1);
      rmSync(reality("web.fills"));
      writeFileSync(reality("web"), "/path1");
      const next = await engine.up(options(web("/path1")));
      assert.ok(next.ok, next.output);
      assert.deepEqual(ops(next), { web: "update" });
      assert.equal(stored(next, "web")?.outputs.phase, "finished");
    });

    it("keeps the old inputs of a half-done update", async () => {
      await engine.up(options(web("/path1")));
      writeFileSync(reality("web.fills"), "");
      const failed = await engine.up(options(web("/path2")));
      assert.ok(!failed.ok);
      assert.deepEqual([stored(failed, "web")?.inputs.storage, stored(failed, "web")?.outputs.phase], ["/path1", "copying"]);
      rmSync(reality("web.fills"));
      const next = await engine.up(options(web("/path2")));
      assert.deepEqual(changed(next.changes), [["web", "update", ["storage"]]]);
    });

    it("has nothing in the state when the provider dies in a create", async () => {
      writeFileSync(reality("web.dies"), "");
      const failed = await engine.up(options(web("/path1")));
      assert.ok(!failed.ok);
      assert.equal(stored(failed, "web"), undefined);
      rmSync(reality("web.dies"));
      assert.deepEqual(ops(await engine.up(options(web("/path1")))), { web: "create" });
    });

    it("has the old inputs when the provider is killed in an update", async () => {
      await engine.up(options(web("/path1")));
      writeFileSync(reality("web.waits"), "");
      let pid = 0;
      const kill = (line: string) => line.includes("copying") && process.kill(pid, "SIGKILL");
      const failed = await engine.up(options(web("/path2"), { onProgress: kill, onProviderStarted: (started) => (pid = started) }));
      assert.ok(!failed.ok);
      assert.equal(stored(failed, "web")?.inputs.storage, "/path1");
      rmSync(reality("web.waits"));
      assert.deepEqual(changed((await engine.up(options(web("/path2")))).changes), [["web", "update", ["storage"]]]);
    });

    it("records nothing of a create whose engine is told to end, but that it was under way", async () => {
      writeFileSync(reality("web.waits"), "");
      const end = new AbortController();
      const onProgress = (line: string) => line.includes("copying") && end.abort();
      const ended = await engine.up(options(web("/path1"), { signal: end.signal, onProgress }));
      assert.ok(!ended.ok);
      rmSync(reality("web.waits"));
      assert.deepEqual(ops(await engine.up(options(web("/path1")))), { web: "create" });
    });

    it("shows what the program got wrong", async () => {
      const failed = await engine.preview(options(web("")));
      assert.ok(!failed.ok);
      assert.match(failed.output, /must not be empty/);
    });

    it("says why a create failed, without a stack trace", async () => {
      writeFileSync(reality("web.refuses"), "");
      const failed = await engine.up(options(web("/path1")));
      assert.match(failed.output, /Unable to copy: no permission\. Give it\./);
      assert.doesNotMatch(failed.output, /\n\s+at /);
    });

    it("deletes what the program no longer names, and dependents first", async () => {
      const pair = [...web("/path1"), { name: "db", args: { name: "db", storage: "=web" } }];
      await engine.up(options([...pair, { name: "old", args: { name: "old", storage: "/x" } }]));
      const less = await engine.up(options(pair));
      assert.deepEqual(ops(less), { old: "delete" });
      assert.ok((await engine.destroy(options([]))).ok);
      assert.deepEqual(readFileSync(reality("deleted"), "utf8").split("\n"), ["old", "db", "web", ""]);
    });

    it("does not know in a preview what only the update will tell", async () => {
      const preview = await engine.preview(options([...web("/path1"), { name: "db", args: { name: "db", storage: "=web" } }]));
      assert.ok(preview.ok, preview.output);
      assert.deepEqual(ops(preview), { web: "create", db: "create" });
    });

    it("hands secrets to the provider in plain and keeps them secret in the state", async () => {
      const up = await engine.up(options(web("/path1", { args: { name: "web", storage: "/path1", token: "!token" } })));
      assert.ok(isSecret(stored(up, "web")?.outputs.token) && isSecret(stored(up, "web")?.inputs.token));
      assert.ok(!up.output.includes("hidden value"));
      const again = await engine.preview(options(web("/path1", { args: { name: "web", storage: "/path1", token: "!token" } })));
      assert.deepEqual(changed(again.changes), []);
    });

    it("replaces: makes the new one before it deletes the old", async () => {
      await engine.up(options(web("/path1")));
      const replaced = await engine.up(options([{ name: "web", args: { name: "web2", storage: "/path1" } }]));
      assert.ok(replaced.ok, replaced.output);
      assert.deepEqual(changed(replaced.changes), [["web", "replace", ["name"]]]);
      assert.deepEqual([existsSync(reality("web")), existsSync(reality("web2"))], [false, true]);
    });

    it("keeps what is protected, what is retained, and what it was told to ignore", async () => {
      await engine.up(options(web("/path1", { options: { protect: true } })));
      assert.ok(!(await engine.destroy(options([]))).ok);
      const ignoring = { options: { protect: false, retainOnDelete: true, ignoreChanges: ["storage"] } };
      assert.deepEqual(changed((await engine.up(options(web("/path2", ignoring)))).changes), []);
      assert.ok((await engine.destroy(options([]))).ok);
      assert.ok(existsSync(reality("web")));
    });

    it("gets a resource that somebody else made, and refuses one that is not there", async () => {
      writeFileSync(reality("other"), "/path7");
      const get = [{ name: "web", args: { name: "other" }, get: reality("other") }];
      const got = await engine.up(options(get));
      assert.deepEqual(got.outputs, { actual: { web: "/path7" } }, got.output);
      assert.ok((await engine.destroy(options([]))).ok);
      assert.ok(existsSync(reality("other")));
      const missing = await engine.preview(options([{ name: "web", args: { name: "none" }, get: reality("none") }]));
      assert.match(missing.output, /Unable to get .*none: its host says that it does not exist/);
    });

    it("gives an explicit provider a process of its own", async () => {
      const pids: number[] = [];
      const resources = [{ name: "there" }, ...web("/path1", { provider: "there" }), { name: "db", args: { name: "db", storage: "/x" } }];
      const up = await engine.up(options(resources, { onProviderStarted: (pid) => pids.push(pid) }));
      assert.ok(up.ok, up.output);
      assert.ok(new Set(pids).size >= 2);
    });

    it("runs a program in TypeScript with the TypeScript that is installed", async () => {
      const project = join(fixtures, "fixture-typescript");
      const typed = await openEngine({ project, workFolder: join(folder, "typed"), config: { "typescript:path": "/path1" }, prefer });
      const up = await typed.up();
      assert.deepEqual(up.outputs, { path: "/path1" }, up.output);
    });
  });
}

/** What changed: name, operation and properties; the stack and providers are the engine's own. */
function changed(changes: readonly Change[]): [string, string, string[]][] {
  const ours = changes.filter(({ op, type }) => type === "livedisk:FileDisk" && op !== "same" && op !== "read");
  return ours.map(({ name, op, changedProperties }) => [name, op, changedProperties]);
}

function ops(result: OperationResult): Record<string, string> {
  return Object.fromEntries(changed(result.changes).map(([name, op]) => [name, op]));
}
