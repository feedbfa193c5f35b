import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { until } from "../sandbox/command.js";
import { failure, host, overSsh, scratch } from "./hosts.js";

describe("a conversation with a script", function () {
  overSsh(this);

  it("goes back and forth by lines and ends with status and both outputs", async () => {
    const { host: there } = await host();
    const talk = await there.open(`echo "ready $1"; while IFS= read -r line; do echo "<$line>"; done; echo bye >&2; printf 'end'; exit 7`, [
      "it's",
    ]);
    assert.equal(await talk.next(5), "ready it's");
    for (const line of ["one", "  zwei ü ", "$(three)"]) {
      talk.send(line);
      assert.equal(await talk.next(5), `<${line}>`);
    }
    talk.send("unread");
    assert.deepEqual(await talk.end(5), { exitStatus: 7, stdout: "<unread>\nend", stderr: "bye\n" });
  });

  it("gives lines in order to those who wait for them", async () => {
    const { host: there } = await host();
    const talk = await there.open("echo a; echo b; echo c; read -r line; echo $line");
    const lines = Promise.all([talk.next(5), talk.next(5), talk.next(5), talk.next(5)]);
    talk.send("d");
    assert.deepEqual(await lines, ["a", "b", "c", "d"]);
    await talk.end(5);
  });

  it("bears many long lines", async () => {
    const { host: there } = await host();
    const talk = await there.open(`i=0; while [ $i -lt 3000 ]; do echo "$i $1"; i=$((i+1)); done`, ["x".repeat(1000)]);
    for (let index = 0; index < 3000; index++) assert.equal(await talk.next(10), `${index} ${"x".repeat(1000)}`);
    assert.equal((await talk.end(5)).exitStatus, 0);
  });

  it("whose script is silent says so when the deadline passes, and goes on", async () => {
    const { host: there } = await host();
    const talk = await there.open("read -r line; echo heard $line; read -r line");
    assert.match((await failure("unreachable", talk.next(0.2))).message, /was silent for 0\.2 s/);
    talk.send("you");
    assert.equal(await talk.next(5), "heard you");
    await talk.end(5);
  });

  it("whose script ended says with which status and words", async () => {
    const { host: there } = await host();
    const talk = await there.open("echo no space >&2; exit 4");
    assert.match((await failure("unreachable", talk.next(5))).message, /ended with status 4: no space\./);
    assert.deepEqual(await talk.end(5), { exitStatus: 4, stdout: "", stderr: "no space\n" });
  });

  it("whose script is killed has the status that a shell gives it", async () => {
    const { host: there } = await host();
    const talk = await there.open("kill -9 $$");
    assert.equal((await talk.end(5)).exitStatus, 128 + 9);
  });

  it("that is abandoned lets the script see the end of its input", async () => {
    const { host: there } = await host();
    const trace = join(await scratch(), "trace");
    const talk = await there.open(`echo ready; cat >/dev/null; echo over >"$1"`, [trace]);
    assert.equal(await talk.next(5), "ready");
    talk.abandon();
    await until(
      60,
      () => existsSync(trace) || undefined,
      () => "The script did not notice.",
    );
    talk.send("nobody hears this");
    await failure("unreachable", talk.next(5));
  });

  it("that is over takes further lines without a word", async () => {
    const { host: there } = await host();
    const talk = await there.open("cat");
    talk.send("one");
    const ended = talk.end(5);
    talk.send("behind the end");
    assert.equal((await ended).stdout, "one\n");
    talk.send("behind the close");
    assert.equal((await there.run("echo alive")).stdout, "alive\n");
  });

  it("that does not end in time is dropped", async () => {
    const { host: there } = await host();
    const talk = await there.open("exec sleep 5");
    assert.match((await failure("unreachable", talk.end(0.3))).message, /did not end within 0\.3 s/);
    assert.equal((await there.run("echo alive")).stdout, "alive\n");
  });
});
