/** What hosts and QEMU say is retold in messages, and held in memory until it is read: neither may be theirs to choose. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { type LogLine, serveEngineLog } from "../engine/engine-log.js";
import { ProviderProcess } from "../engine/provider-process.js";
import { argsFor, overSsh, sshd } from "../host/hosts.js";
import { providerText } from "../pulumi/samples.js";

/** What moves a cursor, turns text around or ends a line; and what runners take for a command. */
const raw = /[\p{Cc}\u202a-\u202e\u2028]/u;
const command = /^\s*::|##\[|##vso\[/m;

function isPlain(text: string): void {
  assert.doesNotMatch(text, raw);
  assert.doesNotMatch(text, command);
  assert.match(text, /\\x1b\[2J\\r\\n::error file=a::gone \\x9b\\u202edetrever #\\x23\[error\]b #\\x23vso\[task\.complete\]c \\u2028/);
}

describe("words of a host that would steer a terminal or a CI", function () {
  this.timeout(60_000);
  const urn = "urn:pulumi:s::p::pulumi-nodejs:dynamic/livedisk:DomainDisk::web";
  const bag = { __provider: providerText("retells"), __urn: urn };
  const [lines, printed]: [LogLine[], string[]] = [[], []];
  const folder = mkdtempSync(path.join(tmpdir(), "livedisk-"));
  let engine: { address: string; close(): void };
  let provider: ProviderProcess;

  before(async () => {
    engine = await serveEngineLog((line) => lines.push(line));
    const onOutput = (line: string) => printed.push(line);
    provider = await ProviderProcess.start({ engineAddress: engine.address, folder, project: "p", config: {}, onOutput });
  });

  after(async () => {
    await provider.close();
    engine.close();
    rmSync(folder, { recursive: true });
  });

  const messageOf = (call: Promise<unknown>) =>
    call.then(
      () => assert.fail("It did not fail."),
      (thrown: Error & { reasons?: string[] }) => thrown.reasons?.join() ?? thrown.message,
    );

  it("are plain text in progress, in warnings and in the error of an unfinished move", async () => {
    isPlain(await messageOf(provider.create(urn, bag)));
    assert.deepEqual(
      lines.map(({ severity }) => severity),
      ["info", "warning"],
    );
    for (const { message } of lines) isPlain(message);
  });

  it("are plain text in what the provider process prints of a refusal", async () => {
    await messageOf(provider.delete(urn, "d1", bag));
    const line = printed.find((each) => each.includes("Unable to end the move"));
    isPlain(line ?? "nothing was printed");
    assert(!printed.some((each) => command.test(each)), printed.join("\n"));
  });

  it("start no line of a stack that is printed for an unexpected error", async () => {
    isPlain(await messageOf(provider.update(urn, "d1", {}, bag)));
    assert(printed.some((each) => each.includes("error file=a::gone")));
    assert(!printed.some((each) => command.test(each) || raw.test(each)), printed.join("\n"));
  });

  it("are plain text in the reasons of a check", async () => {
    const { failures } = await provider.check(urn, {}, bag);
    isPlain(failures[0]?.reason ?? "");
  });
});

describe("a host that says more than anybody reads", function () {
  overSsh(this);
  this.timeout(180_000);
  const world = path.resolve(__dirname, "../world.js");

  /** In a process of its own: by how much its memory grew at most, in MiB, and how the conversation ended. */
  async function converse(script: string, then: string): Promise<{ grown: number; message: string }> {
    const program = `const { connectHost } = require(${JSON.stringify(world)});
      connectHost(${JSON.stringify(argsFor(await sshd()))}, {}).then(async (host) => {
        await host.run(":");
        const before = process.resourceUsage().maxRSS;
        const talk = await host.open(${JSON.stringify(script)});
        const message = await (async () => { ${then} })().then(() => "it ended well", (thrown) => thrown.message);
        const grown = Math.round((process.resourceUsage().maxRSS - before) / 1024);
        process.stdout.write(JSON.stringify({ grown, message }), () => process.exit());
      });`;
    const { stdout } = await promisify(execFile)(process.execPath, ["-e", program]);
    return JSON.parse(stdout);
  }

  it("in one line without an end is cut off, and memory does not grow by more than 100 MiB", async () => {
    const { grown, message } = await converse("head -c 67108864 /dev/zero | tr '\\\\0' x; read -r over", "await talk.next(12)");
    assert(grown < 100, `${grown} MiB: ${message}`);
    assert.match(message, /^The script on 127\.0\.0\.1:\d+ said a line of more than 1 MiB/);
  });

  it("in lines that nobody asked for is cut off, and memory does not grow by more than 200 MiB", async () => {
    const { grown, message } = await converse("yes | head -c 200000000", "await talk.next(12); await talk.end(12)");
    assert(grown < 200, `${grown} MiB: ${message}`);
    assert.match(message, /^The script on 127\.0\.0\.1:\d+ said more than 16 MiB that nobody asked for/);
  });
});
