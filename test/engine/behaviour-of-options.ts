/** What every engine must do with what a program may ask for. The suite runs on the harness and on a real CLI. */

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openEngine } from "./engine.js";
import { changed, type EngineKind, fixtures, onFixtureStack, ops, stored, web } from "./fixture-stack.js";
import { isSecret } from "./values.js";

export function optionsBehaviour(prefer: EngineKind): void {
  describe(`what a program may ask in the ${prefer}`, function () {
    this.timeout(180_000);
    const stack = onFixtureStack(prefer);

    it("shows what the program got wrong", async () => {
      const failed = await stack().engine.preview(stack().options(web("")));
      assert.ok(!failed.ok);
      assert.match(failed.output, /must not be empty/);
    });

    it("says why a create failed, without a stack trace", async () => {
      writeFileSync(stack().reality("web.refuses"), "");
      const failed = await stack().engine.up(stack().options(web("/path1")));
      assert.match(failed.output, /Unable to copy: no permission\. Give it\./);
      assert.doesNotMatch(failed.output, /\n\s+at /);
    });

    it("deletes what the program no longer names, and dependents first", async () => {
      const pair = [...web("/path1"), { name: "db", args: { name: "db", storage: "=web" } }];
      await stack().engine.up(stack().options([...pair, { name: "old", args: { name: "old", storage: "/x" } }]));
      const less = await stack().engine.up(stack().options(pair));
      assert.deepEqual(ops(less), { old: "delete" });
      assert.ok((await stack().engine.destroy(stack().options([]))).ok);
      assert.deepEqual(readFileSync(stack().reality("deleted"), "utf8").split("\n"), ["old", "db", "web", ""]);
    });

    it("does not know in a preview what only the update will tell", async () => {
      const preview = await stack().engine.preview(
        stack().options([...web("/path1"), { name: "db", args: { name: "db", storage: "=web" } }]),
      );
      assert.ok(preview.ok, preview.output);
      assert.deepEqual(ops(preview), { web: "create", db: "create" });
    });

    it("hands secrets to the provider in plain and keeps them secret in the state", async () => {
      const up = await stack().engine.up(stack().options(web("/path1", { args: { name: "web", storage: "/path1", token: "!token" } })));
      assert.ok(isSecret(stored(up, "web")?.outputs.token) && isSecret(stored(up, "web")?.inputs.token));
      assert.ok(!up.output.includes("hidden value"));
      const again = await stack().engine.preview(
        stack().options(web("/path1", { args: { name: "web", storage: "/path1", token: "!token" } })),
      );
      assert.deepEqual(changed(again.changes), []);
    });

    it("replaces: makes the new one before it deletes the old", async () => {
      await stack().engine.up(stack().options(web("/path1")));
      const replaced = await stack().engine.up(stack().options([{ name: "web", args: { name: "web2", storage: "/path1" } }]));
      assert.ok(replaced.ok, replaced.output);
      assert.deepEqual(changed(replaced.changes), [["web", "replace", ["name"]]]);
      assert.deepEqual([existsSync(stack().reality("web")), existsSync(stack().reality("web2"))], [false, true]);
    });

    it("keeps what is protected, what is retained, and what it was told to ignore", async () => {
      await stack().engine.up(stack().options(web("/path1", { options: { protect: true } })));
      assert.ok(!(await stack().engine.destroy(stack().options([]))).ok);
      const ignoring = { options: { protect: false, retainOnDelete: true, ignoreChanges: ["storage"] } };
      assert.deepEqual(changed((await stack().engine.up(stack().options(web("/path2", ignoring)))).changes), []);
      assert.ok((await stack().engine.destroy(stack().options([]))).ok);
      assert.ok(existsSync(stack().reality("web")));
    });

    it("renames by an alias without doing anything", async () => {
      const made = await stack().engine.up(stack().options(web("/path1")));
      const renamed = [{ name: "root", args: { name: "web", storage: "/path1" }, options: { aliases: [{ name: "web" }] } }];
      const up = await stack().engine.up(stack().options(renamed, { expectNoChanges: true }));
      assert.ok(up.ok, up.output);
      assert.deepEqual([stored(up, "root")?.id, stored(up, "web")], [stored(made, "web")?.id, undefined]);
    });

    it("goes on with a state that was put in its place", async () => {
      const made = await stack().engine.up(stack().options(web("/path1")));
      assert.ok((await stack().engine.up(stack().options(web("/path2")))).ok);
      await stack().engine.importState(made.state);
      const preview = await stack().engine.preview(stack().options(web("/path2")));
      assert.deepEqual(changed(preview.refreshed), [["web", "update", ["storage"]]]);
    });

    it("gets a resource that somebody else made, and refuses one that is not there", async () => {
      writeFileSync(stack().reality("other"), "/path7");
      const get = [{ name: "web", args: { name: "other" }, get: stack().reality("other") }];
      const got = await stack().engine.up(stack().options(get));
      assert.deepEqual(got.outputs, { actual: { web: "/path7" } }, got.output);
      assert.ok((await stack().engine.destroy(stack().options([]))).ok);
      assert.ok(existsSync(stack().reality("other")));
      const missing = await stack().engine.preview(
        stack().options([{ name: "web", args: { name: "none" }, get: stack().reality("none") }]),
      );
      assert.match(missing.output, /Unable to get .*none: its host says that it does not exist/);
    });

    it("gives an explicit provider a process of its own", async () => {
      const pids: number[] = [];
      const resources = [{ name: "there" }, ...web("/path1", { provider: "there" }), { name: "db", args: { name: "db", storage: "/x" } }];
      const up = await stack().engine.up(stack().options(resources, { onProviderStarted: (pid) => pids.push(pid) }));
      assert.ok(up.ok, up.output);
      assert.ok(new Set(pids).size >= 2);
    });

    it("runs a program in TypeScript with the TypeScript that is installed", async () => {
      const project = join(fixtures, "fixture-typescript");
      const typed = await openEngine({ project, workFolder: stack().reality("typed"), config: { "typescript:path": "/path1" }, prefer });
      const up = await typed.up();
      assert.deepEqual(up.outputs, { path: "/path1" }, up.output);
    });
  });
}
