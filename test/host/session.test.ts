/** What host/ makes of a session: scripts, and lines back and forth. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type ErrorKind, isKind } from "../../provider/core/errors.js";
import { ScriptConversation } from "../../provider/host/conversation.js";
import { openWorker } from "../../provider/host/open-worker.js";
import { ScriptSession } from "../../provider/host/script-session.js";
import { runScript } from "../../provider/host/worker/scripts.js";
import type { Worker } from "../../provider/host/worker/worker.js";
import { type LocalOptions, localAccount } from "./local-account.js";

const ofKind = (kind: ErrorKind, words: RegExp) => (thrown: unknown) => isKind(thrown, kind) && words.test(thrown.message);
const refusal = (reason: number) => Object.assign(new Error("refused"), { reason });

const workers: Worker[] = [];

async function worker(): Promise<Worker> {
  const opened = await openWorker(localAccount());
  workers.push(opened);
  return opened;
}

async function talk(script: string, args: readonly string[] = []): Promise<ScriptConversation> {
  return new ScriptConversation(await worker(), { script, args });
}

afterEach(async () => {
  await Promise.all(workers.splice(0).map((one) => one.close()));
});

describe("a script", () => {
  it("runs beside others, each with its own status and outputs", async () => {
    const one = await worker();
    const answers = await Promise.all([
      runScript(one, { script: "echo a", args: [] }),
      runScript(one, { script: "echo b >&2; exit 3", args: [] }),
      runScript(one, { script: 'printf "%s" "$1"', args: ["c\n"] }),
    ]);
    assert.deepEqual(answers, [
      { exitStatus: 0, stdout: "a\n", stderr: "" },
      { exitStatus: 3, stdout: "", stderr: "b\n" },
      { exitStatus: 0, stdout: "c\n", stderr: "" },
    ]);
  });

  it("gets its input, byte for byte, and none where there is none", async () => {
    const one = await worker();
    const bytes = Buffer.from(Array.from({ length: 10_000 }, (_, index) => index % 256));
    assert.equal((await runScript(one, { script: "base64 -w 0", args: [] }, { stdin: bytes })).stdout, bytes.toString("base64"));
    assert.equal((await runScript(one, { script: "cat", args: [] })).stdout, "");
  });

  it("that does not parse, leaves its folder or sets what it likes disturbs no other", async () => {
    const one = await worker();
    assert.notEqual((await runScript(one, { script: "if then", args: [] })).exitStatus, 0);
    await runScript(one, { script: "cd /; set -e; LATER=1; umask 0; exec 2>/dev/null; false", args: [] });
    assert.equal((await runScript(one, { script: 'echo "$LATER"; echo said >&2', args: [] })).stdout, "\n");
  });

  it("makes files as the account does, and not as the worker", async () => {
    const { stdout } = await runScript(await worker(), { script: "umask", args: [] });
    assert.equal(Number.parseInt(stdout, 8), process.umask());
  });

  it("is given up without an answer, in words", async () => {
    const one = await worker();
    await assert.rejects(
      runScript(one, { script: "sleep 30", args: ["it"] }, { timeoutSeconds: 0.2 }),
      ofKind("unreachable", /Unable to run "sleep 30 it" on db-3: no answer within 0\.2 s/),
    );
    assert.equal((await runScript(one, { script: "echo a", args: [] })).stdout, "a\n");
  });

  it("that a signal ends has the status that a shell gives it", async () => {
    assert.equal((await runScript(await worker(), { script: "kill -KILL $$", args: [] })).exitStatus, 128 + 9);
  });

  it("answers no more than 10 MiB", async () => {
    const one = await worker();
    assert.equal((await runScript(one, { script: "head -c 10485760 /dev/zero", args: [] })).stdout.length, 10 * 1024 * 1024);
    await assert.rejects(runScript(one, { script: "head -c 20971520 /dev/zero", args: [] }), ofKind("bug", /more than 10 MiB/));
  });

  it("may leave something running, which is not waited for", async () => {
    const { exitStatus, stdout } = await runScript(await worker(), { script: "sleep 5 & echo $!", args: [] });
    assert.equal(exitStatus, 0);
    process.kill(Number(stdout), "SIGTERM");
  });
});

describe("the start of a script", () => {
  const start = (options: LocalOptions) => ScriptSession.start(localAccount(options), "echo begun", []);
  const without = (what: string) => ({ login: () => what });

  it("is past what the login shell says, on both outputs", async () => {
    const session = await start({ login: (command) => `echo greetings; printf 'no line break'; echo more >&2; ${command}` });
    assert.equal((await once(session.channel.resume(), "data"))[0].toString(), "begun\n");
    assert.equal(session.complaints, "");
  });

  it("is as root by sudo, which must not ask", async () => {
    const account = localAccount({ privilege: "sudo", login: () => "echo 'a password is required' >&2; exit 1" });
    const refused = ScriptSession.start(account, "echo begun", []);
    await assert.rejects(refused, ofKind("user", /as root on db-3.* said "a password is required"\. Let deploy use it/));
    assert.match(account.opened[0] ?? "", /^exec sudo -n sh -c /);
  });

  it("is an error where something else stands in a shell's place", () =>
    assert.rejects(
      start(without("echo This account is not available.; exit 1")),
      ofKind("user", /in place of a shell, it ended with status 1 and said "This account/),
    ));

  it("is an error where nothing comes back in time", async () => {
    await assert.rejects(
      start({ ...without("read -r a; read -r b"), startSeconds: 0.2 }),
      ofKind("unreachable", /nothing sensible came back within 0\.2 s/),
    );
    await assert.rejects(
      start({ ...without("echo menu; read -r a; read -r b"), startSeconds: 0.2 }),
      ofKind("user", /in place of a shell.*menu/),
    );
  });
});

describe("a conversation", () => {
  it("goes line by line, and ends with what was not read", async () => {
    const lines = await talk('echo "ready $1"; while IFS= read -r line; do echo "<$line>"; done; echo bye >&2; printf end; exit 7', [
      "it's",
    ]);
    assert.equal(await lines.next(5), "ready it's");
    for (const line of ["one", "  zwei ü "]) {
      lines.send(line);
      assert.equal(await lines.next(5), `<${line}>`);
    }
    lines.send("unread");
    assert.deepEqual(await lines.end(5), { exitStatus: 7, stdout: "<unread>\nend", stderr: "bye\n" });
  });

  it("says that the script is silent, and goes on", async () => {
    const lines = await talk("read -r line; echo heard $line");
    await assert.rejects(lines.next(0.1), ofKind("unreachable", /was silent for 0\.1 s/));
    lines.send("you");
    assert.equal(await lines.next(5), "heard you");
  });

  it("says how the script ended, to whoever waits and to whoever comes later", async () => {
    const lines = await talk("read -r line; echo last; echo why >&2; exit 5");
    const [first, second] = [lines.next(5), lines.next(5)];
    lines.send("go");
    assert.equal(await first, "last");
    await assert.rejects(second, ofKind("unreachable", /ended with status 5: why/));
    await assert.rejects(lines.next(5), ofKind("unreachable", /ended with status 5/));
    assert.equal((await lines.end(5)).exitStatus, 5);
  });

  it("is cut off where a line has no end, or lines come that nobody asks for", async () => {
    const long = await talk("head -c 2097152 /dev/zero | tr '\\000' x; read -r line");
    await assert.rejects(long.next(5), ofKind("unreachable", /a line of more than 1 MiB/));
    await assert.rejects(long.next(5), ofKind("unreachable", /a line of more than 1 MiB/));
    const many = await talk("yes | head -n 400000; echo said >&2; read -r line");
    await assert.rejects(many.end(5), ofKind("unreachable", /more than 16 MiB that nobody asked for/));
  });

  it("that does not end in time is dropped", async () => {
    const lines = await talk("trap '' HUP; while :; do sleep 0.05; read -r line || [ $((count += 1)) -gt 20 ] && exit; done");
    await assert.rejects(lines.end(0.1), ofKind("unreachable", /did not end within 0\.1 s/));
  });
});

describe("the sessions of a connection", () => {
  const script = "read -r line";
  const start = (account: ReturnType<typeof localAccount>) => ScriptSession.start(account, script, []);

  it("are given in the order in which they were asked for", async () => {
    const account = localAccount({ refusals: [refusal(4)] });
    await assert.rejects(account.sessions.take("exit 0"), ofKind("user", /its sshd refuses every session/));
    const opened = await account.sessions.take("true first");
    const taken = ["a", "b", "c"].map((name) => account.sessions.take(`true ${name}`));
    await Promise.all(taken);
    assert.deepEqual(account.opened, ["true first", "true a", "true b", "true c"]);
    opened.resume();
  });

  it("are asked for again where sshd refuses one for now", async () => {
    const refusals: Error[] = [];
    const account = localAccount({ refusals });
    const first = await start(account);
    refusals.push(refusal(4), refusal(4));
    const second = await start(account);
    assert.equal(refusals.length, 0);
    for (const session of [first, second]) session.drop();
  });

  it("are an error where the connection fails, which keeps nobody else waiting", async () => {
    const account = localAccount({ refusals: [new Error("Not connected")] });
    await assert.rejects(start(account), /^Error: Not connected$/);
    const next = await start(account);
    next.drop();
  });
});
