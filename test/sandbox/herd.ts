/** Many QEMUs without guests in them, each with many small disks: for reads, which need no guest that runs. */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdir } from "node:fs/promises";
import path from "node:path";
import { run, until } from "./command.js";
import { mourn, watchOver } from "./processes.js";
import { QmpProxy } from "./qmp-proxy.js";
import type { Sandbox } from "./sandbox.js";

export interface HerdOptions {
  guests: number;
  disksEach: number;
  /** Of each disk; those below the active one are shared by the disks of a guest. @default 1 */
  layers?: number;
}

/** One QEMU of a herd. Its disks have the ids `d0`, `d1`, … and the serial numbers `s0`, `s1`, … */
export interface HerdGuest {
  folder: string;
  /** A monitor that counts what it is asked. */
  monitor: QmpProxy;
  /** QEMU's own. */
  socket: string;
  disks: readonly { id: string; serial: string; image: string }[];
}

/** Starts them; they end with the sandbox. */
export async function startHerd(sandbox: Sandbox, { guests, disksEach, layers = 1 }: HerdOptions): Promise<HerdGuest[]> {
  const templates = await makeTemplates(path.join(sandbox.folder, "templates"), layers);
  const herd: HerdGuest[] = [];
  for (let number = 0; number < guests; number++) {
    const folder = path.join(sandbox.folder, `herd-${number}`);
    herd.push(await startOne(sandbox, { folder, disksEach, templates }));
  }
  return herd;
}

/** Base first; each names the one below it relatively, so that copies find their own. */
async function makeTemplates(folder: string, layers: number): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const files: string[] = [];
  for (let layer = 0; layer < layers; layer++) {
    const file = path.join(folder, `layer-${layer}.qcow2`);
    const below = layer === 0 ? [] : ["-b", `layer-${layer - 1}.qcow2`, "-F", "qcow2"];
    if (!existsSync(file)) await run("qemu-img", ["create", "-q", "-f", "qcow2", ...below, file, "8M"]);
    files.push(file);
  }
  return files;
}

async function startOne(
  sandbox: Sandbox,
  { folder, disksEach, templates }: { folder: string; disksEach: number; templates: readonly string[] },
): Promise<HerdGuest> {
  await mkdir(folder, { recursive: true });
  for (const file of templates.slice(0, -1)) await copyFile(file, path.join(folder, path.basename(file)));
  const disks = Array.from({ length: disksEach }, (_, index) => ({
    id: `d${index}`,
    serial: `s${index}`,
    image: path.join(folder, `disk-${index}.qcow2`),
  }));
  for (const { image } of disks) await copyFile(templates.at(-1) ?? "", image);
  const socket = path.join(folder, "qmp.sock");
  const child = watchOver(
    spawn("qemu-system-x86_64", argumentsFor(socket, disks), { stdio: ["ignore", "ignore", "pipe"] }),
    "a QEMU of a herd",
  );
  sandbox.defer(() => mourn(child, "SIGKILL"));
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const listens = () => {
    if (child.exitCode !== null) throw new Error(`A QEMU of the herd ended: ${said}`);
    return existsSync(socket) || undefined;
  };
  await until(60, listens, () => `A QEMU of the herd does not listen: ${said}`);
  const monitor = await QmpProxy.listen(path.join(folder, "counted.sock"), socket);
  sandbox.defer(() => monitor.close());
  return { folder, monitor, socket, disks };
}

function argumentsFor(socket: string, disks: HerdGuest["disks"]): string[] {
  const machine = ["-M", "q35,accel=tcg", "-m", "16", "-nodefaults", "-display", "none", "-S", "-device", "virtio-scsi-pci,id=scsi0"];
  const drives = disks.flatMap(({ id, serial, image }) => [
    ...["-drive", `if=none,id=drive-${id},format=qcow2,file=${image.replaceAll(",", ",,")}`],
    ...["-device", `scsi-hd,bus=scsi0.0,drive=drive-${id},id=${id},serial=${serial}`],
  ]);
  return [...machine, "-qmp", `unix:${socket.replaceAll(",", ",,")},server=on,wait=off`, ...drives];
}
