/** Another run on the same host, from another PID namespace, by roads that no fault of the first one's is on: an sshd and a monitor of its own. */

import assert from "node:assert/strict";
import path from "node:path";
import { Runner } from "../adversity/runner.js";
import type { Stage } from "../e2e/stage.js";
import { makeFolder } from "../sandbox/folders.js";
import { watchOverPid } from "../sandbox/processes.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { type Sshd, startSshd } from "../sandbox/sshd.js";
import type { Storage } from "./arena.js";
import type { Evidence } from "./evidence.js";
import { type Strategy, wayOf } from "./strategies.js";

/** Its holder of a lock is on no machine that the first one knows. */
const inOtherNamespace = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];

/** On what it signs in to, its monitor's socket lies over the first one's: the domain has the same name for both. */
const overOtherSocket = `set -e; mount --bind "$1" "$2"; shift 2; exec "$@"`;

export class OtherRunner {
  private constructor(
    private readonly stage: Stage,
    private readonly sshd: Sshd,
    private readonly strategy: Strategy,
  ) {}

  /** The stage's sandbox ends it. */
  static async on(stage: Stage, strategy: Strategy): Promise<OtherRunner> {
    const { sandbox, guest, proxy } = stage;
    const other = await QmpProxy.listen(path.join(sandbox.folder, "web/other.sock"), guest.qmpSocket);
    sandbox.defer(() => other.close());
    const folder = await makeFolder("livedisk-sshd-");
    sandbox.defer(folder.remove);
    const through = ["unshare", "--mount", "--propagation", "private", "sh", "-c", overOtherSocket, "sh", other.path, proxy.path];
    const sshd = await startSshd({ folder: folder.path, through });
    sandbox.defer(watchOverPid(sshd.pid, "sshd"));
    sandbox.defer(() => sshd.stop());
    return new OtherRunner(stage, sshd, strategy);
  }

  /** Begins a move of the disk there. */
  begin(storage: Storage): Runner {
    const { stage, sshd, strategy } = this;
    const { port, user, identityFile, hostKeyFingerprint: hostKey } = sshd;
    const settings = {
      host: { address: "127.0.0.1", port, user, identityFile, hostKey },
      domain: { qmp: stage.proxy.path },
      disks: ["vda"],
      destination: stage.at(storage),
      ...(stage.link !== undefined && { link: stage.link }),
      ...wayOf[strategy].settings,
    };
    return new Runner(settings, inOtherNamespace);
  }

  /** What of it goes on on the host. */
  servedPids(): Promise<number[]> {
    return this.sshd.servedPids();
  }
}

/** Waits for its end, which is told in words where it is no good one. */
export async function endOf(runner: Runner, evidence: Evidence): Promise<Awaited<Runner["ending"]>> {
  const ending = await runner.ending;
  evidence.outputs.push({ title: "another run", text: runner.lines.join("\n") });
  if (ending.failed === "no") return ending;
  assert.match(
    ending.message,
    /Unable to |Stopped as asked|The connection to |Nothing has moved/,
    "another run does not say what happened",
  );
  return ending;
}
