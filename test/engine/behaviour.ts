/** What every engine must do with our adapter in the life of a resource. The suite runs on the harness and on a real CLI. */

import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { changed, type EngineKind, onFixtureStack, ops, stored, web } from "./fixture-stack.js";

export function stackBehaviour(prefer: EngineKind): void {
  describe(`a stack in the ${prefer}`, function () {
    this.timeout(180_000);
    const stack = onFixtureStack(prefer);

    it("creates, and finds nothing to do the second time", async () => {
      const created = await stack().engine.up(stack().options(web("/path1")));
      assert.ok(created.ok, created.output);
      assert.deepEqual(created.outputs, { actual: { web: "/path1" } });
      assert.match(created.output, /web.*copying 50 %/);
      const again = await stack().engine.up(stack().options(web("/path1"), { expectNoChanges: true }));
      assert.ok(again.ok, again.output);
      assert.deepEqual(changed(again.changes), []);
    });

    it("creates nothing in a preview", async () => {
      const preview = await stack().engine.preview(stack().options(web("/path1")));
      assert.ok(preview.ok, preview.output);
      assert.deepEqual(ops(preview), { web: "create" });
      assert.ok(!existsSync(stack().reality("web")));
      assert.deepEqual(preview.state.deployment.resources ?? [], []);
    });

    it("shows drift as the one property that differs, and puts it back", async () => {
      await stack().engine.up(stack().options(web("/path1")));
      writeFileSync(stack().reality("web"), "/path9");
      const preview = await stack().engine.preview(stack().options(web("/path1"), { expectNoChanges: true }));
      assert.ok(!preview.ok);
      assert.deepEqual(changed(preview.changes), [["web", "update", ["storage"]]]);
      assert.match(preview.output, /storage: "\/path9" => "\/path1"/);
      assert.equal(readFileSync(stack().reality("web"), "utf8"), "/path9");
      assert.ok((await stack().engine.up(stack().options(web("/path1")))).ok);
      assert.equal(readFileSync(stack().reality("web"), "utf8"), "/path1");
    });

    it("refreshes: takes drift into the state, and forgets what is gone", async () => {
      await stack().engine.up(stack().options([...web("/path1"), { name: "db", args: { name: "db", storage: "/path1" } }]));
      writeFileSync(stack().reality("web"), "/path9");
      rmSync(stack().reality("db"));
      const refreshed = await stack().engine.refresh(stack().options([]));
      assert.ok(refreshed.ok, refreshed.output);
      assert.deepEqual(changed(refreshed.refreshed).sort(), [
        ["db", "delete", []],
        ["web", "update", ["storage"]],
      ]);
      assert.equal(stored(refreshed, "web")?.inputs.storage, "/path9");
      assert.equal(stored(refreshed, "db"), undefined);
    });

    it("keeps a half-made resource, and goes on with it next time", async () => {
      writeFileSync(stack().reality("web.fills"), "");
      const failed = await stack().engine.up(stack().options(web("/path1")));
      assert.ok(!failed.ok);
      assert.match(failed.output, /Unable to copy: \/path2 is full/);
      assert.deepEqual(stored(failed, "web")?.initErrors, ["Unable to copy: /path2 is full. Free space."]);
      assert.equal(stored(failed, "web")?.outputs.schemaVersion, 1);
      rmSync(stack().reality("web.fills"));
      writeFileSync(stack().reality("web"), "/path1");
      const next = await stack().engine.up(stack().options(web("/path1")));
      assert.ok(next.ok, next.output);
      assert.deepEqual(ops(next), { web: "update" });
      assert.equal(stored(next, "web")?.outputs.phase, "finished");
    });

    it("keeps the old inputs of a half-done update", async () => {
      await stack().engine.up(stack().options(web("/path1")));
      writeFileSync(stack().reality("web.fills"), "");
      const failed = await stack().engine.up(stack().options(web("/path2")));
      assert.ok(!failed.ok);
      assert.deepEqual([stored(failed, "web")?.inputs.storage, stored(failed, "web")?.outputs.phase], ["/path1", "copying"]);
      rmSync(stack().reality("web.fills"));
      const next = await stack().engine.up(stack().options(web("/path2")));
      assert.deepEqual(changed(next.changes), [["web", "update", ["storage"]]]);
    });

    it("has nothing in the state when the provider dies in a create", async () => {
      writeFileSync(stack().reality("web.dies"), "");
      const failed = await stack().engine.up(stack().options(web("/path1")));
      assert.ok(!failed.ok);
      assert.equal(stored(failed, "web"), undefined);
      rmSync(stack().reality("web.dies"));
      assert.deepEqual(ops(await stack().engine.up(stack().options(web("/path1")))), { web: "create" });
    });

    it("has the old inputs when the provider is killed in an update", async () => {
      await stack().engine.up(stack().options(web("/path1")));
      writeFileSync(stack().reality("web.waits"), "");
      const pids: number[] = [];
      const kill = (line: string) => line.includes("copying") && pids.splice(0).map((pid) => process.kill(pid, "SIGKILL"));
      const failed = await stack().engine.up(
        stack().options(web("/path2"), { onProgress: kill, onProviderStarted: (pid) => pids.push(pid) }),
      );
      assert.ok(!failed.ok);
      assert.equal(stored(failed, "web")?.inputs.storage, "/path1");
      rmSync(stack().reality("web.waits"));
      assert.deepEqual(changed((await stack().engine.up(stack().options(web("/path2")))).changes), [["web", "update", ["storage"]]]);
    });

    it("records nothing of a create whose engine is told to end, but that it was under way", async () => {
      writeFileSync(stack().reality("web.waits"), "");
      const end = new AbortController();
      const onProgress = (line: string) => line.includes("copying") && end.abort();
      const ended = await stack().engine.up(stack().options(web("/path1"), { signal: end.signal, onProgress }));
      assert.ok(!ended.ok);
      rmSync(stack().reality("web.waits"));
      assert.deepEqual(ops(await stack().engine.up(stack().options(web("/path1")))), { web: "create" });
    });
  });
}
