import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import fc from "fast-check";
import { quote, scriptText } from "../../provider/host/quoting.js";
import { connectHost } from "../world.js";
import { argsFor, failure, hasConnections, host, overSsh, scratch, sshd } from "./hosts.js";

/** Everything an argument may hold, with a preference for what shells take apart. */
const word = fc.oneof(
  fc.string({ unit: fc.constantFrom(..."'\"\\$`!*?[]{}()<>|&;#~% \t\n\r-=a1ü€😀") }),
  fc.string({ unit: "binary" }).map((text) => text.replaceAll("\0", "").toWellFormed()),
  fc.constantFrom("", "-n", "--", "$(touch planted)", "`id`", "'\\''", "a\n", "\n\n"),
);

describe("quoting", () => {
  it("gives a real sh exactly the words that went in", function () {
    this.timeout(180_000);
    const sameWords = fc.property(fc.array(word, { maxLength: 5 }), (words) => {
      const answer = execFileSync("sh", ["-c", scriptText(`for one do printf '%s\\000' "$one"; done`, words)], { encoding: "utf8" });
      assert.deepEqual(answer.split("\0").slice(0, -1), words);
    });
    fc.assert(sameWords, { numRuns: 150 });
  });

  // each character that has a byte of its own, and the first of each length in UTF-8, alone and between quotes
  const characters = Array.from({ length: 255 }, (_, index) => String.fromCodePoint(index + 1)).concat(
    "\u0800",
    "\uffff",
    "\u{10000}",
    "\u{10ffff}",
  );
  const words = characters.flatMap((one) => [one, `${one}${one}`, `'${one}'`, `a${one}`, `-${one}`, `\\${one}`, `$${one}`, `\n${one}\n`]);
  for (const shell of [["sh"], ["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"]] as const) {
    it(`gives ${shell.join(" ")} every character but NUL as it is, wherever it stands`, () => {
      const [program, ...options] = shell;
      const script = scriptText(`for one do printf '%s\\000' "$one"; done`, words);
      const environment = { ...process.env, LC_ALL: "C" };
      const answer = execFileSync(program, [...options], { input: script, encoding: "utf8", env: environment });
      assert.deepEqual(answer.split("\0").slice(0, -1), words);
    });
  }

  it("refuses a NUL, which no argument can hold", () => {
    assert.throws(() => quote("a\0b"), /holds a NUL character\. Take it out\.$/);
  });
});

describe("a command on a host", function () {
  overSsh(this);

  it("gets its arguments as they are and answers with both outputs and its status", async () => {
    const { host: there } = await host();
    const words = ["a b", "it's", "$(id)", "-n", "ü\n", ""];
    const answer = await there.run(`for one do printf '%s|' "$one"; done; echo trouble >&2; exit 3`, words);
    assert.deepEqual(answer, { exitStatus: 3, stdout: words.map((one) => `${one}|`).join(""), stderr: "trouble\n" });
  });

  it("gets any arguments as they are, one command after the other in the same shell", async () => {
    const { host: there } = await host();
    const sameWords = fc.asyncProperty(fc.array(word, { maxLength: 5 }), async (words) => {
      const { stdout } = await there.run(`for one do printf '%s\\000' "$one"; done`, words);
      assert.deepEqual(stdout.split("\0").slice(0, -1), words);
    });
    await fc.assert(sameWords, { numRuns: 150 });
    assert.equal((await there.run("echo $PPID")).stdout, (await there.run("echo $PPID")).stdout);
  });

  it("keeps the last line break of an output, and adds none", async () => {
    const { host: there } = await host();
    for (const text of ["", "x", "x\n", "\n\n", "\nx"]) assert.equal((await there.run(`printf %s "$1"`, [text])).stdout, text);
  });

  it("gets any bytes on its input, also more than a pipe holds", async () => {
    const { host: there } = await host();
    const bytes = Buffer.concat([Buffer.from("EOF\n'\0\r\n"), randomBytes(3_000_000)]);
    const { stdout } = await there.run("base64 -w 0", [], { stdin: bytes });
    assert(Buffer.from(stdout, "base64").equals(bytes));
    assert.deepEqual(await there.run("wc -c", [], { stdin: "" }), { exitStatus: 0, stdout: "0\n", stderr: "" });
  });

  it("has an empty input where none is given, and may leave input unread", async () => {
    const { host: there } = await host();
    assert.equal((await there.run("wc -c")).stdout, "0\n");
    assert.equal((await there.run("echo done", [], { stdin: randomBytes(1_000_000) })).stdout, "done\n");
    assert.equal((await there.run("echo next")).stdout, "next\n");
  });

  it("answers in the language of programs, whatever the account's", async () => {
    const { host: there } = await host({ settings: { SetEnv: "LC_ALL=de_DE.UTF-8 LANG=de_DE.UTF-8" } });
    assert.match((await there.run("ls /no/such/file")).stderr, /No such file or directory/);
  });

  it("runs beside others, each with its own answer", async () => {
    const { host: there } = await host();
    const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => there.run(`echo "$1"; echo "$1" >&2`, [String(index)])));
    assert.deepEqual(
      answers,
      answers.map((_, index) => ({ exitStatus: 0, stdout: `${index}\n`, stderr: `${index}\n` })),
    );
  });

  it("that does not parse, or leaves the directory, or exits, does not disturb the next", async () => {
    const { host: there } = await host();
    assert.equal((await there.run("if then")).exitStatus, 2);
    assert.equal((await there.run("cd /; set -e; umask 0; x=1; exec >/dev/null; false; echo no")).exitStatus, 1);
    assert.equal((await there.run("echo [$x]")).stdout, "[]\n");
  });

  it("that hangs ends in a sentence, and keeps no other waiting", async () => {
    const { host: there } = await host();
    const hanging = there.run("sleep 1; sleep 30", [], { timeoutSeconds: 0.5 });
    const after = there.run("echo alive");
    const { message } = await failure("unreachable", hanging);
    assert.match(
      message,
      /^Unable to run "sleep 1; sleep 30" on 127\.0\.0\.1:\d+: no answer within 0\.5 s\. It may still be running there/,
    );
    assert.equal((await after).stdout, "alive\n");
  });

  it("whose shell is killed has the status that a shell gives it", async () => {
    const { host: there } = await host();
    assert.equal((await there.run("kill -9 $$")).exitStatus, 137);
    assert.equal((await there.run("echo alive")).stdout, "alive\n");
  });

  it("that answers more than 10 MiB is cut off", async () => {
    const { host: there } = await host();
    const { message } = await failure("bug", there.run("head -c 20000000 /dev/zero"));
    assert.match(message, /answers more than 10 MiB/);
    assert.equal((await there.run("head -c 10000000 /dev/zero")).stdout.length, 10_000_000);
  });

  it("reaches PATHs that an account's own may leave out", async () => {
    const { host: there } = await host({ settings: { SetEnv: "PATH=/usr/bin:/bin" } });
    assert.match((await there.run("echo $PATH")).stdout, /:\/usr\/sbin:/);
  });

  it("costs a round trip and no login: 200 in far less than 200 logins take", async () => {
    const server = await sshd();
    const there = await connectHost(argsFor(server), {});
    const folder = await scratch();
    await there.run(":");
    const start = performance.now();
    for (let index = 0; index < 200; index++) await there.run(`echo "$1" >>"$2"`, [String(index), join(folder, "lines")]);
    assert(performance.now() - start < 10_000);
    await hasConnections(server, 1);
  });
});
