/** This machine as a host over a real sshd: what the tests of image/ run on. */

import { closeAllHosts } from "../../provider/host/connection.js";
import type { Host } from "../../provider/host/host.js";
import { type HostArgs, hostArgs } from "../../provider/host/target.js";
import { makeFolder } from "../sandbox/folders.js";
import { startSshd } from "../sandbox/sshd.js";
import { connectHost, thisWorld } from "../world.js";

let connected: { host: Host; args: HostArgs } | undefined;

function current() {
  if (connected === undefined) throw new Error("A test uses the host without overSsh() in its describe.");
  return connected;
}

/** The host of the running describe block. */
export const host: Host = {
  get name() {
    return current().host.name;
  },
  world: thisWorld,
  get stateDirectory() {
    return current().host.stateDirectory;
  },
  run: (script, args, options) => current().host.run(script, args, options),
  open: (script, args) => current().host.open(script, args),
  worker: () => current().host.worker(),
  withOneWorker: (work) => current().host.withOneWorker(work),
};

/** For a process of its own that shall reach the same host. */
export function hostArgsText(): string {
  return JSON.stringify(current().args);
}

/** Gives the describe block that calls it an sshd of its own. */
export function overSsh(): void {
  const undo: (() => Promise<unknown>)[] = [];
  before(async () => {
    const folder = await makeFolder("image-sshd-");
    undo.push(folder.remove);
    const sshd = await startSshd({ folder: folder.path });
    undo.push(() => sshd.stop());
    const { port, user, identityFile, hostKeyFingerprint } = sshd;
    const args = hostArgs.parse({ address: "127.0.0.1", port, user, identityFile, hostKey: hostKeyFingerprint });
    connected = { args, host: await connectHost(args, {}) };
    undo.push(closeAllHosts);
  });
  after(async () => {
    connected = undefined;
    for (const one of undo.splice(0).reverse()) await one();
  });
}
