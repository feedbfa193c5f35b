import assert from "node:assert/strict";
import net from "node:net";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { closeAllHosts } from "../../provider/host/connection.js";
import type { Host } from "../../provider/host/host.js";
import { hostArgs } from "../../provider/host/target.js";
import { connectHost } from "../world.js";
import { until } from "./command.js";
import type { Gate, Passing, Verdict } from "./gate.js";
import { HostProxy } from "./host-proxy.js";
import { Operator } from "./operator.js";
import { QmpProxy } from "./qmp-proxy.js";
import { createSandbox, type Sandbox } from "./sandbox.js";

/** Does something else to the first command of a name. */
class OneFault implements Gate {
  readonly passed: Passing[] = [];
  name = "";
  verdict: Verdict = "forward";
  answer: "release" | "drop" = "release";
  answers: string[] = [];

  set(name: string, verdict: Verdict, answer: "release" | "drop" = "release"): void {
    Object.assign(this, { name, verdict, answer, answers: [] });
  }

  before(command: Passing): Verdict {
    this.passed.push(command);
    if (!command.name.includes(this.name) || this.name === "") return "forward";
    this.name = "";
    return this.verdict;
  }

  answered({ name }: Passing): "release" | "drop" {
    this.answers.push(name);
    return this.answer;
  }
}

describe("the proxy before a host's shells", function () {
  this.timeout(180_000);
  const gate = new OneFault();
  let proxy: HostProxy;
  let sandbox: Sandbox;
  let host: Host;

  before(async () => {
    proxy = await HostProxy.listen(gate);
    sandbox = await createSandbox("host-proxy", { sshd: { settings: proxy.sshdSettings } });
    host = await connectHost(hostArgs.parse(sandbox.host), {});
  });

  after(async () => {
    await closeAllHosts();
    await sandbox.dispose();
    await proxy.close();
  });

  const file = () => path.join(sandbox.folder, "file");
  const make = (name: string) => host.run(`touch -- "$1" && echo "made $1"`, [name], { timeoutSeconds: 2 });
  const exists = async (name: string) => (await host.run(`[ -e "$1" ] && echo yes || echo no`, [name])).stdout;

  it("passes on commands and answers, input and exit statuses", async () => {
    assert.deepEqual(await host.run(`cat; echo "$1" >&2; exit 7`, ["it's"], { stdin: "a\nb" }), {
      exitStatus: 7,
      stdout: "a\nb",
      stderr: "it's\n",
    });
  });

  it("knows what changes something and what only asks", async () => {
    gate.passed.length = 0;
    await host.run(`stat -c %s -- "$1" 2>&1 >/dev/null`, ["/"]);
    await make(file());
    assert.deepEqual(
      gate.passed.map(({ kind }) => kind),
      ["question", "change"],
    );
  });

  it("keeps a command from arriving", async () => {
    gate.set("touch", "drop");
    await assert.rejects(make(`${file()}-dropped`), /said nothing for 7 s/);
    assert.equal(await exists(`${file()}-dropped`), "no\n");
  });

  it("lets a command be carried out, and keeps its answer", async () => {
    gate.set("touch", "withhold", "drop");
    await assert.rejects(make(`${file()}-withheld`), /said nothing for 7 s/);
    assert.equal(gate.answers.length, 1);
    assert.equal(await exists(`${file()}-withheld`), "yes\n");
  });

  it("gives the answer late, and whole", async () => {
    gate.set("touch", "withhold", "release");
    assert.equal((await make(file())).stdout, `made ${file()}\n`);
    assert.equal(gate.answers.length, 1);
  });

  it("lets a script be talked with, and end; a line that is lost is the only one", async () => {
    const talk = await host.open(`while read -r line; do echo "heard $line"; done; exit 3`);
    gate.set("two", "drop");
    for (const line of ["one", "two", "three"]) talk.send(line);
    assert.equal(await talk.next(5), "heard one");
    assert.equal(await talk.next(5), "heard three");
    const { exitStatus } = await talk.end();
    assert.equal(exitStatus, 3);
    await assert.rejects(talk.next(5), /ended/);
  });
});

describe("the proxy before a monitor", function () {
  this.timeout(180_000);
  const gate = new OneFault();
  let sandbox: Sandbox;
  let proxy: QmpProxy;

  beforeEach(async () => {
    sandbox = await createSandbox("qmp-proxy");
    const guest = await sandbox.startGuest();
    proxy = await QmpProxy.listen(path.join(sandbox.folder, "proxy.sock"), guest.qmpSocket, gate);
  });

  afterEach(async () => {
    await proxy.close();
    await sandbox.dispose();
  });

  const status = async (operator: Operator) => ((await operator.execute("query-status")) as { status: string }).status;

  for (const [verdict, seen] of [
    ["drop", "running"],
    ["cut", "running"],
    ["withhold", "paused"],
  ] as const) {
    it(`at a command that it is to ${verdict} leaves the guest ${seen}, and its client without an answer`, async () => {
      await using operator = await Operator.connect(proxy.path);
      gate.set("stop", verdict, "drop");
      let answered = "no";
      operator.ask("stop").then(
        () => (answered = "yes"),
        () => (answered = "the connection ended"),
      );
      // by then the command has come by, or had its effect; an answer that is let through comes at once
      await until(
        60,
        () => (gate.name === "" && (verdict !== "withhold" || gate.answers.length === 1) ? true : undefined),
        () => "It did not come by.",
      );
      await pause(200);
      assert.equal(answered, verdict === "cut" ? "the connection ended" : "no");
      await operator.close();
      await using other = await Operator.connect(proxy.path);
      assert.equal(await status(other), seen);
    });
  }

  it("garbles one answer, and no other", async () => {
    const socket = net.connect(proxy.path);
    let said = "";
    socket.on("data", (piece) => (said += piece.toString()));
    gate.set("query-kvm", "garble");
    for (const execute of ["qmp_capabilities", "query-kvm", "query-name"]) socket.write(`${JSON.stringify({ execute, id: execute })}\n`);
    await until(
      60,
      () => (said.includes('"query-name"') ? true : undefined),
      () => said,
    );
    socket.destroy();
    const [greeting, ready, garbled, name] = said.split("\n");
    assert.deepEqual(
      [greeting, ready, name].map((line) => typeof JSON.parse(line ?? "")),
      ["object", "object", "object"],
    );
    assert.throws(() => JSON.parse(garbled ?? ""), SyntaxError);
  });
});
