/** Every call of the engine is answered, and what a call says arrives before its answer. */

import assert from "node:assert/strict";
import { BugError, isKind, UserError } from "../../provider/core/errors.js";
import { Calls } from "../../provider/pulumi/calls.js";
import { asError, isExpected } from "../../provider/pulumi/guard.js";
import { hiddenOf, urnOf, visibleOf } from "../../provider/pulumi/hidden.js";
import { type Line, ResourceLog } from "../../provider/pulumi/progress.js";
import { readCredentials, readMovesPerHost } from "../../provider/pulumi/settings.js";

const call = { name: "update of web", stallSeconds: 600 };

/** Whether it has ended by now, all that is due at once done. */
async function isOver(promise: Promise<unknown>): Promise<boolean> {
  let over = false;
  promise.then(
    () => (over = true),
    () => (over = true),
  );
  await new Promise((resolve) => setImmediate(resolve));
  return over;
}

describe("a call of the engine", () => {
  it("is answered with what its work gives", async () => {
    const calls = new Calls();
    assert.equal(await calls.answer(call, async () => 7), 7);
    await assert.rejects(
      calls.answer(call, () => Promise.reject(new Error("no"))),
      /^Error: no$/,
    );
    assert.equal(calls.size, 0);
  });

  it("is answered when nothing makes progress any more, and its work is asked to stop", async () => {
    const calls = new Calls();
    const told = Promise.withResolvers<AbortSignal>();
    const answer = calls.answer({ name: "update of web", stallSeconds: 0.02 }, ({ abandoned }) => {
      told.resolve(abandoned);
      return new Promise(() => {});
    });
    await assert.rejects(
      answer,
      (thrown) => isKind(thrown, "outcome-unknown") && /the update of web: nothing has moved/.test(thrown.message),
    );
    assert.equal((await told.promise).aborted, true);
  });

  it("is answered with a fault of ours when an error was caught by nobody, and so are all others", async () => {
    const calls = new Calls();
    const answers = [1, 2].map(() => calls.answer(call, () => new Promise(() => {})));
    assert.equal(calls.size, 2);
    calls.abandon(new Error("lost"));
    for (const answer of answers) await assert.rejects(answer, (thrown) => isKind(thrown, "bug") && /"lost"/.test(thrown.message));
    assert.equal(calls.size, 0);
  });

  it("that is the last to be open ends the wait for all", async () => {
    const calls = new Calls();
    const [one, two] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const answers = [one, two].map(({ promise }) => calls.answer(call, () => promise));
    const idle = calls.idle();
    one.resolve();
    await answers[0];
    assert.equal(await isOver(idle), false);
    two.resolve();
    await answers[1];
    await idle;
  });

  it("is not waited for where none is open", () => new Calls().idle());
});

/** A log whose lines arrive when they are let through. */
function heldLog() {
  const lines: Line[] = [];
  const gate = Promise.withResolvers<void>();
  const sink = (line: Line) => {
    lines.push(line);
    return gate.promise;
  };
  return { log: new ResourceLog(sink, "urn:web"), lines, let: gate.resolve };
}

describe("the lines of a call", () => {
  it("are the first progress at once, the last one at the end, and none between them in half a second", async () => {
    const { log, lines, let: letThrough } = heldLog();
    for (const text of ["1 %", "2 %", "3 %"]) log.progress(text);
    assert.deepEqual(
      lines.map(({ text }) => text),
      ["1 %"],
    );
    letThrough();
    await log.settle();
    assert.deepEqual(
      lines.map(({ text }) => text),
      ["1 %", "3 %"],
    );
    await log.settle();
    assert.equal(lines.length, 2);
  });

  it("are ephemeral if they are progress, and stay if they are messages", () => {
    const { log, lines } = heldLog();
    log.progress("1 %");
    log.say("warning", "look");
    assert.deepEqual(
      lines.map(({ lasting, severity, urn }) => [lasting, severity, urn]),
      [
        ["ephemeral", "info", "urn:web"],
        ["kept", "warning", "urn:web"],
      ],
    );
  });

  it("have arrived before the call is answered", async () => {
    const { log, let: letThrough } = heldLog();
    log.say("info", "last words");
    const settled = log.settle();
    assert.equal(await isOver(settled), false);
    letThrough();
    await settled;
  });

  it("hold an answer up no longer than half a second", async () => {
    const { log } = heldLog();
    log.say("info", "last words");
    await log.settle();
  });

  it("are plain text", () => {
    const { log, lines } = heldLog();
    log.say("info", "a\u001b[2Jb");
    assert.equal(lines[0]?.text, "a\\x1b[2Jb");
  });
});

describe("an answer that is an error", () => {
  it("is one line for what the user can fix, and has its stack and its causes' for what is odd", () => {
    assert.equal(asError(new UserError("The disk is full.")).stack, "The disk is full.");
    const odd = asError(new Error("odd", { cause: new Error("deeper") })).stack ?? "";
    assert.match(odd, /odd\n {4}at [\s\S]*caused by Error: deeper/);
    assert.match(asError(new BugError("Odd.")).stack ?? "", /\n {4}at /);
    assert.deepEqual([isExpected(new UserError("a")), isExpected(new BugError("a")), isExpected(new Error("a"))], [true, false, false]);
  });

  it("is never without words", () => {
    assert.equal(asError(new TypeError("")).message, "TypeError");
    assert.match(asError(7).message, /not an error: 7/);
  });
});

describe("the keys of a resource", () => {
  const bag = { __provider: "text", __urn: "urn:web", disk: "vda", _own: 1 };

  it("are between the engine and us where they begin with two underscores", () => {
    assert.deepEqual(hiddenOf(bag), { __provider: "text", __urn: "urn:web" });
    assert.deepEqual(visibleOf(bag), { disk: "vda", _own: 1 });
    assert.deepEqual([urnOf(bag), urnOf({}), urnOf({ __urn: 7 })], ["urn:web", "", ""]);
  });
});

describe("the settings of a stack", () => {
  const config = (values: Record<string, string>) => ({ get: (key: string) => values[key] });

  it("say how many moves run side by side, or nothing", () => {
    for (const [text, moves] of [
      ["1", 1],
      ["9999", 9999],
      ["", undefined],
    ] as const)
      assert.equal(readMovesPerHost(config({ "livedisk:movesPerHost": text })), moves);
    assert.equal(readMovesPerHost(config({})), undefined);
    for (const text of ["0", "-1", "1.5", "two", "10000"])
      assert.throws(
        () => readMovesPerHost(config({ "livedisk:movesPerHost": text })),
        (thrown) => isKind(thrown, "user") && thrown.message.includes(`"${text}"`),
      );
  });

  it("name hosts for the password one by one", () => {
    const passwordFor = (text: string) => readCredentials(config({ "livedisk:passwordFor": text })).passwordFor;
    assert.deepEqual(passwordFor('["db-3", "[::1]:22"]'), ["db-3", "[::1]:22"]);
    assert.equal(passwordFor(""), undefined);
    for (const text of ["db-3", '"db-3"', "{}"]) assert.throws(() => passwordFor(text), /not a list of addresses/);
    for (const text of ['["*"]', "[7]", '["a@b"]', '[""]']) assert.throws(() => passwordFor(text), /neither an address/);
  });
});
