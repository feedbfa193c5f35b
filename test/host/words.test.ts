/** Text for a host's shell, and what hosts and sshd say, retold. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { isKind } from "../../provider/core/errors.js";
import { authHandler, isAboutOneKey } from "../../provider/host/attempts.js";
import { unable } from "../../provider/host/complaints.js";
import type { Attempt } from "../../provider/host/credentials.js";
import type { Finished, Host } from "../../provider/host/host.js";
import { firstLineText, quote, scriptText } from "../../provider/host/quoting.js";
import { type Attempted, connectionRefused } from "../../provider/host/refusals.js";
import { remembering } from "../../provider/host/remembering.js";
import { thisWorld } from "../world.js";

const sh = (script: string, path = process.env.PATH) => spawnSync("/bin/sh", ["-c", script], { encoding: "utf8", env: { PATH: path } });

const hostile = ["", " ", "a b", "'", "''\"'", "$(id)", "`id`", "-n", "*", "a\nb", "\\", "é"];

/** Answers each command in turn; the last answer again and again. */
function answering(...answers: (Finished | Error)[]): Host & { asked: string[] } {
  const asked: string[] = [];
  const run = async (script: string) => {
    asked.push(script);
    const answer = (answers.length > 1 ? answers.shift() : answers[0]) ?? assert.fail("no answer");
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const never = () => Promise.reject(new Error("nobody asks for that"));
  return { name: "db-3", world: thisWorld, stateDirectory: "/nowhere", asked, run, open: never, worker: never, withOneWorker: never };
}

const said = (stdout: string): Finished => ({ exitStatus: 0, stdout, stderr: "" });

describe("a word for the host's shell", () => {
  it("is the same word there, whatever it holds", () => {
    for (const word of hostile) assert.equal(sh(`printf %s ${quote(word)}`).stdout, word);
  });

  it("holds no NUL", () =>
    assert.throws(
      () => quote("a\0b"),
      (thrown) => isKind(thrown, "user") && /NUL/.test(thrown.message),
    ));

  it("is an argument of a script, also with a leading dash", () => {
    assert.equal(sh(scriptText('printf "<%s>" "$@"', hostile)).stdout, hostile.map((word) => `<${word}>`).join(""));
  });

  it("comes after a mark on both outputs, with the daemons' folders on PATH", () => {
    const { stdout, stderr } = sh(firstLineText("token", 'echo "$1" "$LC_ALL" "$PATH"', ["it's"]));
    assert.deepEqual([stdout.split("\n")[0], stderr], ["token", "token\n"]);
    assert.match(stdout, /^it's C .*:\/usr\/sbin:\/sbin$/m);
  });

  it("is not run where the host has no base64", () => {
    const { status, stdout } = sh(`${firstLineText("token", "echo ran", [])}echo went on`, "/nowhere");
    assert.deepEqual([status === 0, stdout], [false, "token\n"]);
  });
});

describe("what a host's programs say", () => {
  it("is retold by its last line, with advice where permission lacks", () => {
    const host = answering(said(""));
    assert.equal(
      unable(host, "read", "/a", "one\ntwo: Permission denied\n").message.includes(
        "Unable to read /a on db-3: two: Permission denied. Give",
      ),
      true,
    );
    assert.match(unable(host, "read", "/a", "chown: Operation not permitted").message, /privilege: "sudo"/);
    assert.doesNotMatch(unable(host, "read", "/a", "No space left on device").message, /sudo/);
  });

  it("is its exit status where it says nothing", () => {
    const host = answering(said(""));
    assert.match(unable(host, "read", "/a", { exitStatus: 5, stdout: "", stderr: "" }).message, /: exit status 5\./);
    assert.match(unable(host, "read", "/a", { exitStatus: 5, stdout: "", stderr: "why" }).message, /: why\./);
    assert.match(unable(host, "read", "/a", "").message, /: no reason was given\./);
  });
});

describe("a host whose answers are remembered", () => {
  it("is asked each question once", async () => {
    const host = answering(said("a"), said("b"), said("c"));
    const once = remembering(host);
    const answers = [
      await once.run("x"),
      await once.run("x"),
      await once.run("x", ["1"]),
      await once.run("x", [], { stdin: "y" }),
      await once.run("x"),
    ];
    assert.deepEqual(
      answers.map(({ stdout }) => stdout),
      ["a", "a", "b", "c", "a"],
    );
  });

  it("is asked again where no answer came", async () => {
    const once = remembering(answering(new Error("silent"), said("a")));
    await assert.rejects(once.run("x"), /silent/);
    assert.equal((await once.run("x")).stdout, "a");
  });
});

const key = (name: string): Attempt => ({ name, method: "publickey", ssh2: { type: "agent", username: "u", agent: name } });
const password: Attempt = { name: "the password", method: "password", ssh2: { type: "password", username: "u", password: "x" } };

/** What is tried against a server that accepts these, until all is refused. */
function triedAgainst(accepted: string[]) {
  const attempted = { tried: [] as string[], accepted: [] as string[] };
  const handler = authHandler([key("one"), password, key("two")], attempted);
  const answers: unknown[] = [];
  for (let turn = 0; answers.at(-1) !== false && turn < 9; turn++) {
    // ssh2's own types name neither null nor an array of any text
    handler((turn === 0 ? null : accepted) as never, false as never, ((next: unknown) => answers.push(next)) as never);
  }
  return { ...attempted, answers };
}

describe("signing in", () => {
  it("asks first what is accepted, tries that in order, and gives up", () => {
    const { tried, accepted, answers } = triedAgainst(["publickey"]);
    assert.deepEqual([tried, accepted], [["one", "two"], ["publickey"]]);
    assert.deepEqual(answers, ["none", key("one").ssh2, key("two").ssh2, false]);
  });

  it("never sends a password to a server that takes none", () => {
    assert.deepEqual(triedAgainst(["publickey"]).tried.includes("the password"), false);
    assert.deepEqual(triedAgainst(["password"]).tried, ["the password"]);
  });

  it("goes on after an agent that fails, or a key that cannot sign", () => {
    const failure = (level: string, message: string) => Object.assign(new Error(message), { level });
    assert.equal(isAboutOneKey(failure("agent", "x"), { tried: [] }), true);
    assert.equal(isAboutOneKey(failure("client-authentication", "Error signing data"), { tried: ["one"] }), true);
    assert.equal(isAboutOneKey(failure("client-authentication", "Error signing data"), { tried: [] }), false);
    assert.equal(isAboutOneKey(failure("client-authentication", "All methods failed"), { tried: ["one"] }), false);
    assert.equal(isAboutOneKey(new Error("Error signing data"), { tried: ["one"] }), false);
  });
});

const attempted: Attempted = {
  target: { address: "db-3", port: 22, user: "deploy" },
  signIn: { attempts: [], passedOver: ["A key was passed over."], withheld: "The password is withheld." },
  ...{ tried: [], accepted: [], notes: [] },
};
const refused = (level: string, more: Partial<Attempted> = {}, properties: object = {}) =>
  connectionRefused(Object.assign(new Error("why"), { level, ...properties }), { ...attempted, ...more });

describe("a connection that does not come about", () => {
  it("is the network's fault where the socket fails, in words", () => {
    const error = refused("client-socket", {}, { code: "ECONNREFUSED" });
    assert.ok(isKind(error, "unreachable"));
    assert.match(error.message, /^Unable to reach db-3: nothing listens there/);
    assert.match(refused("client-socket", {}, { code: "EWEIRD" }).message, /^Unable to reach db-3: why\./);
  });

  it("is the user's to put right where sshd agrees on nothing", () => assert.ok(isKind(refused("handshake"), "user")));

  it("is no sshd's where it ends before anything was tried", () => {
    const error = refused("");
    assert.ok(isKind(error, "unreachable"));
    assert.match(error.message, /sshd listens there/);
  });

  it("is one of too many keys where it ends after some were tried", () => {
    const error = refused("", { tried: ["the ssh-agent"] });
    assert.ok(isKind(error, "user"));
    assert.match(error.message, /after trying the ssh-agent .*MaxAuthTries/);
  });

  it("says what was refused, what is accepted, and what was not tried", () => {
    const { message } = refused("client-authentication", { tried: ["the ssh-agent"], accepted: ["publickey"], notes: ["A note"] });
    assert.match(message, /deploy@db-3: it refused the ssh-agent \(it accepts publickey\)\. A note\. A key was passed over\. Check/);
    assert.match(refused("client-authentication").message, /nothing that we have is accepted\. A key/);
  });

  it("speaks of a withheld password only where the host takes passwords", () => {
    for (const method of ["password", "keyboard-interactive"])
      assert.match(refused("client-authentication", { accepted: [method] }).message, /The password is withheld\./);
    assert.doesNotMatch(refused("client-authentication", { accepted: ["publickey"] }).message, /withheld/);
  });
});
