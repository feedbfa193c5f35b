import assert from "node:assert/strict";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Host } from "../../../provider/host/host.js";
import { quote } from "../../../provider/host/quoting.js";
import { syncDefinitions } from "../../../provider/hypervisor/libvirt/definitions.js";
import { readDomain } from "../../../provider/hypervisor/libvirt/domain-xml.js";
import { guestOf } from "../../../provider/hypervisor/libvirt/guest.js";
import { viewOf } from "../../../provider/hypervisor/libvirt/view.js";
import { Virsh } from "../../../provider/hypervisor/libvirt/virsh.js";
import { makeFolder } from "../../sandbox/folders.js";
import { LocalHost } from "../qemu/local-host.js";
import { ScriptedDomain } from "./scripted-virsh.js";

const uuid = "11111111-2222-3333-4444-555555555555";
const disk = "<disk type='file'><driver type='qcow2'/><source file='/a/top'/><target dev='vda'/></disk>";
const xml = `<domain id='1'><name>web</name><uuid>${uuid}</uuid><devices>${disk}</devices></domain>`;

/** Writes down what comes, a word each. */
class NotingVirsh extends Virsh {
  constructor(private readonly noted: string[]) {
    const run: Host["run"] = async (script) => {
      noted.push(script.includes("sync --") ? "sync" : "file");
      return { exitStatus: 0, stdout: "/tmp/xml", stderr: "" };
    };
    super(Object.assign(Object.create(new LocalHost()), { run }), "qemu:///system");
  }

  override async ask(commands: readonly string[]) {
    this.noted.push(...commands.map((command) => command.split(" ")[0] ?? ""));
    return commands.map((command) => ({ text: command.startsWith("dumpxml") ? xml : "" }));
  }
}

describe("a persistent definition", () => {
  it("is synced once it is changed, before the step that builds on it", async () => {
    const live = readDomain(xml);
    const view = viewOf({ live, persistent: live, state: "running", headers: new Map(), progress: new Map() });
    const noted: string[] = [];
    const virsh = new NotingVirsh(noted);
    const guest = guestOf(new ScriptedDomain(virsh, { live, view }));
    await guest.redefine("vda", { path: "/b/top", format: "qcow2" });
    assert.deepEqual(noted, ["dumpxml", "file", "update-device", "file", "sync"]);
  });

  it("lies in a directory that is synced, be it the system's or an account's own", async () => {
    const { path: home, remove } = await makeFolder("livedisk-definitions-");
    const own = path.join(home, ".config/libvirt/qemu");
    await mkdir(own, { recursive: true });
    const log = path.join(home, "log");
    await writeFile(path.join(home, "sync"), `#!/bin/sh\nprintf '%s\\n' "$*" >>${quote(log)}\n`);
    await chmod(path.join(home, "sync"), 0o755);
    const local = new LocalHost();
    const run: Host["run"] = (script, args) => local.run(`HOME=${quote(home)} PATH=${quote(home)}:$PATH\n${script}`, args);
    await syncDefinitions(Object.assign(Object.create(local), { run }));
    assert((await readFile(log, "utf8")).split("\n").includes(`-- ${own}/`));
    await remove();
  });
});
