/** What runs on hosts has a header beside it, and docs/host-commands.md is made of these. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { hostCommands, type Listing } from "../tools/host-commands/listing.js";
import { modulesOfWorker, qmpOfSwitch, startersIn, virshOfWorker } from "../tools/host-commands/of-worker.js";
import { page } from "../tools/host-commands/page.js";
import { programsIn } from "../tools/host-commands/shell-words.js";

const root = path.resolve(__dirname, "../..");

const header = (programs: string, group = "reading") =>
  `/** @host ${programs}\n * @for ${group}\n * @does reads\n * @changes nothing\n * @as the account\n * @why a test */`;
const host = 'import type { Host } from "../host/host.js";\n';
const worker = 'import { runProgram } from "../host/worker/programs.js";\nimport type { Worker } from "../host/worker/worker.js";\n';

/** Each is a file that breaks the rule in one way, with what is said of it. */
const broken: Record<string, { text: string; said: RegExp }> = {
  "a program that is run without a header": {
    text: `${host}export const look = (host: Host) => host.run("stat /");`,
    said: /host\.run runs something on a host and has no header/,
  },
  "a shell that is opened without a header": {
    text: `${host}export const look = (host: Host) => host.open("cat");`,
    said: /host\.open runs something on a host and has no header/,
  },
  "a program that goes through a function of ours without a header": {
    text: `${host}function through(host: Host, script: string) { return host.run(script); }\nexport const look = (host: Host) => through(host, "stat /");`,
    said: /through runs something on a host and has no header/,
  },
  "a program that the worker runs without a header": {
    text: `${worker}export const look = (worker: Worker) => runProgram(worker, ["stat", "/"]);`,
    said: /runProgram runs something on a host and has no header/,
  },
  "a header that names another program than the worker runs": {
    text: `${worker}${header("stat")}\nexport function look(worker: Worker) { return runProgram(worker, ["wipefs", "stat"]); }`,
    said: /does not name wipefs, which it runs/,
  },
  "a program of the worker's whose name is known at run time only": {
    text: `${worker}${header("stat")}\nexport function look(worker: Worker, name: string) { return runProgram(worker, [name, "stat"]); }`,
    said: /what it runs is known at run time only/,
  },
  "the worker's way to run programs, handed on": {
    text: `${worker}export const run = [runProgram];`,
    said: /runProgram is handed on/,
  },
  "the worker's way to run programs, under another name": {
    text: 'import { runProgram as hidden } from "../host/worker/programs.js";\nexport const run = () => hidden;',
    said: /runProgram is handed on/,
  },
  "a command to libvirt without a header": {
    text: 'import type { Virsh } from "../hypervisor/libvirt/virsh.js";\nexport const end = (virsh: Virsh) => virsh.ask(["destroy web"]);',
    said: /virsh\.ask runs something on a host and has no header/,
  },
  "a command to QEMU without a header": {
    text:
      'import { z } from "zod";\nimport type { QmpSession } from "../hypervisor/qemu/client.js";\n' +
      'export const end = (session: QmpSession) => session.call("quit", z.object({}));',
    said: /session\.call runs something on a host and has no header/,
  },
  "a command of ssh2's own without a header": {
    text: 'import { Client } from "ssh2";\nexport const look = () => new Client().exec("stat /", () => {});',
    said: /exec runs something on a host and has no header/,
  },
  "a host's method that is handed on": {
    text: `${host}export const run = (host: Host) => host.run;`,
    said: /host\.run is handed on/,
  },
  "a host's method that is taken out of it": {
    text: `${host}export const look = ({ run: hidden }: Host) => hidden("stat /");`,
    said: /run: hidden is handed on/,
  },
  "a host's method that is taken by its name as a text": {
    text: `${host}export function look(host: Host) { const hidden = host["run"]; return hidden("stat /"); }`,
    said: /host\["run"\] is handed on/,
  },
  "a host's method whose name is known at run time only": {
    text: `${host}export const look = (host: Host, how: "run") => host[how]("stat /");`,
    said: /host\[how\] is handed on/,
  },
  "a type of our own for which a host passes": {
    text: `${host}interface Runs { run(script: string): unknown }\nconst through = (it: Runs) => it.run("stat /");\nexport const look = (host: Host) => through(host);`,
    said: /run\(script: string\): unknown is handed on/,
  },
  "a question to the worker by an operation of its own": {
    text:
      'import { z } from "zod";\nimport type { Worker } from "../host/worker/worker.js";\n' +
      'const run = { name: "program-run", reply: z.object({}), changes: true };\n' +
      'export const look = (worker: Worker) => worker.request(run, { words: ["wipefs"] });',
    said: /request goes to a host past all headers/,
  },
  "a script that is handed to the worker itself": {
    text:
      'import { runScript } from "../host/worker/scripts.js";\nimport type { Worker } from "../host/worker/worker.js";\n' +
      'export const look = (worker: Worker) => runScript(worker, { script: "wipefs /dev/sda", args: [] });',
    said: /runScript goes to a host past all headers/,
  },
  "a command to a monitor of the worker's": {
    text:
      'import type { WorkerMonitor } from "../host/worker/monitors.js";\n' +
      'export const end = (monitor: WorkerMonitor) => monitor.execute("quit");',
    said: /execute goes to a host past all headers/,
  },
  "a switch on a monitor without a header": {
    text:
      'import { type RunOptions, runSwitch } from "../host/worker/switching.js";\nimport type { Worker } from "../host/worker/worker.js";\n' +
      "export const end = (worker: Worker, { plan, monitor }: RunOptions) => runSwitch(worker, { plan, monitor, locks: [] });",
    said: /runSwitch runs something on a host and has no header/,
  },
  "a script with a text that is known at run time only": {
    text: `${host}${header("stat")}\nexport function look(host: Host, more: string) { return host.run(\`stat /; \${more}\`); }`,
    said: /what it runs is known at run time only/,
  },
  "a header that does not name what is run by its full path": {
    text: `${host}${header("stat")}\nexport function look(host: Host) { return host.run("stat / && /usr/sbin/wipefs /dev/sda"); }`,
    said: /does not name wipefs, which it runs/,
  },
  "a header that does not name what another program runs": {
    text: `${host}${header("timeout")}\nexport function look(host: Host) { return host.run('timeout -k 5 "$1" wipefs /dev/sda'); }`,
    said: /does not name wipefs, which it runs/,
  },
  "a header whose program is not there any more": {
    text: `${host}${header("stat, qemu-nbd")}\nconst script = "stat /";\nexport const look = (host: Host) => host.run(script);`,
    said: /names qemu-nbd, which is not there/,
  },
  "a header that does not name what its program starts": {
    text: `${host}${header("stat")}\nconst script = 'stat / && size=$(wipefs "$1")';\nexport const look = (host: Host) => host.run(script);`,
    said: /does not name wipefs, which it runs/,
  },
  "a header that does not name a command to libvirt": {
    text:
      `import type { Virsh } from "../hypervisor/libvirt/virsh.js";\n${header("virsh list", "libvirt")}\n` +
      'export function end(virsh: Virsh) { return virsh.ask(["list", "destroy web"]); }',
    said: /does not name virsh destroy, which it runs/,
  },
  "a header at nothing that runs on a host": {
    text: `${header("stat")}\nexport const script = "stat /";`,
    said: /stands at nothing that runs on a host/,
  },
  "a header that leaves out why": {
    text: `${host}${header("stat").replace(/\n \* @why.*/, " */")}\nexport const look = (host: Host) => host.run("stat /");`,
    said: /lacks @why/,
  },
  "a header for a table that the page does not have": {
    text: `${host}${header("stat", "fun")}\nexport const look = (host: Host) => host.run("stat /");`,
    said: /unknown @for fun/,
  },
};

describe("what runs on hosts", function () {
  // the sources' types are read
  this.timeout(120_000);

  const planted = (index: number) => `flows/planted-${index}.ts`;
  const isPlanted = (place: string) => /^(provider\/)?flows\/planted-/.test(place);
  let found: Listing = { listed: [], problems: [] };

  before(() => {
    found = hostCommands(Object.fromEntries(Object.values(broken).map(({ text }, index) => [planted(index), text])));
  });

  it("has a header beside it that names the programs that are there", () => {
    assert.ok(found.listed.length > 50);
    assert.deepEqual(
      found.problems.filter((problem) => !isPlanted(problem)),
      [],
    );
  });

  it("is what docs/host-commands.md lists: `npm run host-commands` makes it", () => {
    const listed = found.listed.filter(({ file }) => !isPlanted(file));
    assert.equal(readFileSync(path.join(root, "docs/host-commands.md"), "utf8"), page(listed));
  });

  for (const [index, [what, { said }]] of Object.entries(broken).entries()) {
    it(`would be found broken by ${what}`, () => {
      const own = found.problems.filter((problem) => problem.startsWith(`provider/${planted(index)}:`));
      assert.equal(own.length, 1, own.join("\n"));
      assert.match(own[0] ?? "", said);
    });
  }
});

describe("what the worker says and starts by itself", () => {
  it("is said of its modules: the commands of a switch to QEMU, and of one on libvirt to virsh", () => {
    const modules = new Map([
      ["switch.py", 'talk.each("job-complete", disks)\nself.ask("query-jobs", {})'],
      ["connection.py", 'self.send({"execute": "qmp_capabilities"})'],
      ["pausing.py", 'from worker.virsh import command\ntalk.do("suspend")'],
    ]);
    assert.deepEqual(qmpOfSwitch(modules), ["QMP qmp_capabilities", "QMP job-complete", "QMP query-jobs"]);
    assert.deepEqual(virshOfWorker(modules), ["virsh suspend"]);
  });

  it("is started in few of its modules, which run what the client gives them, virsh, or a child without a program", () => {
    assert.deepEqual(startersIn(modulesOfWorker()), [
      "children.py",
      "conversations.py",
      "fork_client.py",
      "fork_server.py",
      "scripts.py",
      "virsh.py",
    ]);
  });

  it("would be found in another module", () => {
    const lines = [
      'os.system("wipefs /dev/sda")',
      "subprocess.run(words)",
      "from subprocess import run",
      "child = Child(request, words)",
      "os.execvp(a, b)",
    ];
    for (const line of lines) assert.deepEqual(startersIn(new Map([["other.py", `${line}\n`]])), ["other.py"], line);
    assert.deepEqual(startersIn(new Map([["other.py", "from worker.children import Child\n"]])), []);
  });
});

describe("the programs that a shell script starts", () => {
  const scripts: Record<string, { script: string; starts: string[] }> = {
    "after an assignment, a pipe and a keyword": {
      script: 'a=1 stat / | tr a b; if head x; then ! cat "$1"; fi',
      starts: ["cat", "head", "stat", "tr"],
    },
    "in a substitution, also within quotes": { script: 'size="at $(stat / "$(id)")"; $((1 + size))', starts: ["id", "stat"] },
    "not in comments and single quotes": { script: "stat / # rm all\nawk '{ rm }' x # mv", starts: ["awk", "stat"] },
    "not as patterns of a case": { script: 'case $1 in rm) stat / ;;\n mv | "cp x") cat ;;\nesac', starts: ["cat", "stat"] },
    "not as functions of its own": { script: "copy() { dd; }\ncopy x && sync", starts: ["dd", "sync"] },
    "not as arguments, options and files": {
      script: 'stat -L "$x"/rm >cat 2>&1 <mv; for rm in ln cp; do id; done',
      starts: ["id", "stat"],
    },
  };
  for (const [where, { script, starts }] of Object.entries(scripts)) {
    it(`are found ${where}`, () => assert.deepEqual(programsIn(script), starts));
  }
});
