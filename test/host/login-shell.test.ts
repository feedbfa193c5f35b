import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ScriptSession } from "../../provider/host/script-session.js";
import { Sessions } from "../../provider/host/sessions.js";
import { SshConnection } from "../../provider/host/ssh-connection.js";
import type { SshdOptions } from "../sandbox/sshd.js";
import { argsFor, failure, host, isInstalled, overSsh, scratch, sshd, undoLater } from "./hosts.js";

/** A ForceCommand stands in the login shell's place: sshd gives it the command line as it gives it to that shell. */
async function behind(script: string): Promise<NonNullable<SshdOptions["settings"]>> {
  const file = join(await scratch(), "login");
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return { ForceCommand: file };
}

const words = ["a b", "it's", "$(id)", "back\\slash\\n", "!x", "new\nline", "ü"];

describe("an account whose login shell", function () {
  overSsh(this);

  const shells = ["sh", "bash", "busybox sh", "zsh", "fish", "tcsh"].filter(
    (shell) => isInstalled(shell.split(" ")[0] ?? "") === "installed",
  );
  for (const shell of shells) {
    it(`is ${shell} is served all the same`, async () => {
      const { host: there } = await host({ settings: await behind(`exec ${shell} -c "$SSH_ORIGINAL_COMMAND"`) });
      const script = `for one do printf '%s|' "$one"; done; echo trouble >&2`;
      const stdout = words.map((one) => `${one}|`).join("");
      assert.deepEqual(await there.run(script, words), { exitStatus: 0, stdout, stderr: "trouble\n" });
      const talk = await there.open(`${script}; read -r line; echo "<$line>"`, words);
      talk.send("said");
      assert.deepEqual(await talk.end(5), { exitStatus: 0, stdout: `${stdout}<said>\n`, stderr: "trouble\n" });
    });
  }

  it("prints greetings, with and without a line break, on either output, is served all the same", async () => {
    const greeting = `echo "Welcome to db-3"; echo "Careful!" >&2; printf 'last login: today'; printf 'no mail' >&2`;
    const { host: there } = await host({ settings: await behind(`${greeting}; eval "$SSH_ORIGINAL_COMMAND"`) });
    assert.deepEqual(await there.run("echo out; echo err >&2"), { exitStatus: 0, stdout: "out\n", stderr: "err\n" });
    const talk = await there.open("echo first; echo trouble >&2");
    assert.equal(await talk.next(5), "first");
    assert.deepEqual(await talk.end(5), { exitStatus: 0, stdout: "", stderr: "trouble\n" });
  });

  it("prints more than a megabyte first is served all the same", async () => {
    const { host: there } = await host({ settings: await behind(`head -c 1500000 /dev/zero | tr '\\0' x; eval "$SSH_ORIGINAL_COMMAND"`) });
    assert.equal((await there.run("echo out")).stdout, "out\n");
  });

  it("is none, but a sentence, is an error that shows it", async () => {
    const { host: there } = await host({ settings: await behind("echo 'This account is for SFTP only.'; exit 1") });
    const { message } = await failure("user", there.run("echo"));
    assert.match(
      message,
      /in place of a shell, it ended with status 1 and said "This account is for SFTP only\."\. The account \S+ needs a login shell/,
    );
    await failure("user", there.open("echo"));
  });

  it("ends without a word is an error in words", async () => {
    const { host: there } = await host({ settings: await behind("exit 0") });
    assert.match((await failure("user", there.run("echo"))).message, /in place of a shell, it ended with status 0\./);
  });

  it("only sends back what it gets, or is silent, is an error in words", async () => {
    for (const [script, kind, words] of [
      ["exec cat", "user", /in place of a shell, nothing sensible came back within 0\.5 s and said "printf/],
      ["exec sleep 5", "unreachable", /nothing sensible came back within 0\.5 s\. Check that host's load/],
    ] as const) {
      const server = await sshd({ settings: await behind(script) });
      const connection = await SshConnection.open(argsFor(server), {});
      undoLater(() => connection.end());
      const account = { connection, sessions: new Sessions(connection), user: server.user, privilege: "user", startSeconds: 0.5 } as const;
      assert.match((await failure(kind, ScriptSession.start(account, "echo", []))).message, words);
    }
  });

  it("finds no base64 is an error in words, not an empty answer", async () => {
    const { host: there } = await host({ settings: await behind(`base64() { return 127; }; PATH=/nowhere; eval "$SSH_ORIGINAL_COMMAND"`) });
    await failure("user", there.run("echo"));
  });
});
