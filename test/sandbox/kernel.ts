/**
 * The guest's kernel: Debian's cloud kernel, its package unpacked and never installed.
 * Only the kernel itself and the modules that the guest loads are kept, in `.cache/` of the repository.
 */

import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { run } from "./command.js";
import { updatePackageLists } from "./install.js";

/** The order in which the guest loads them: each needs those before it. Only with the last one it finds its disks, and reads from them. */
export const moduleOrder = [
  "virtio_ring",
  "virtio",
  "virtio_blk",
  "scsi_common",
  "scsi_mod",
  "virtio_scsi",
  "sd_mod",
  "virtio_pci_legacy_dev",
  "virtio_pci_modern_dev",
  "virtio_pci",
] as const;

export interface Kernel {
  /** The kernel as an ELF file, which QEMU enters directly: a compressed one would be unpacked by an emulated processor, at every boot. */
  image: string;
  /** Folder that holds `<module>.ko` for each of {@link moduleOrder}. */
  modules: string;
}

const repository = path.resolve(__dirname, "../../..");

/** The repository's own folder for what may be thrown away: git-ignored, kept between runs. */
export const cacheFolder = path.join(repository, ".cache");

let fetching: Promise<Kernel> | undefined;

/** The kernel, downloaded and unpacked when this is the first time on this machine. */
export function guestKernel(): Promise<Kernel> {
  fetching ??= fetchOnce().catch((reason: unknown) => {
    fetching = undefined;
    throw reason;
  });
  return fetching;
}

async function fetchOnce(): Promise<Kernel> {
  const kept = path.join(cacheFolder, "guest-vmlinux");
  const kernel = { image: path.join(kept, "vmlinux"), modules: kept };
  if (existsSync(kernel.image)) return kernel;
  await mkdir(cacheFolder, { recursive: true });
  const workshop = await mkdtemp(path.join(cacheFolder, "guest-vmlinux-"));
  try {
    await unpackInto(path.join(workshop, "kept"), workshop);
    // Two runs at once: rename is atomic, and whoever comes second uses what the first one left.
    await rename(path.join(workshop, "kept"), kept).catch((reason: unknown) => {
      if (!existsSync(kernel.image)) throw reason;
    });
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
  return kernel;
}

async function unpackInto(kept: string, workshop: string): Promise<void> {
  let name = await packageName();
  if (name === undefined) {
    await updatePackageLists();
    name = await packageName();
  }
  if (name === undefined) {
    throw new Error("Unable to find a kernel for the test guest: apt knows no linux-image-cloud-amd64. The tests need Debian on amd64.");
  }
  await run("apt-get", ["download", "-q", name], { folder: workshop, timeoutSeconds: 300 }).catch(async () => {
    // The lists may be older than the archive: a superseded package is gone from it.
    await updatePackageLists();
    await run("apt-get", ["download", "-q", name], { folder: workshop, timeoutSeconds: 300 });
  });
  const archive = (await readdir(workshop)).find((file) => file.endsWith(".deb"));
  if (archive === undefined)
    throw new Error(`Unable to download ${name}: apt-get left no file. Check the network, then run the tests again.`);
  const root = path.join(workshop, "root");
  await run("dpkg-deb", ["--extract", path.join(workshop, archive), root]);
  await mkdir(kept);
  await keepModules(path.join(root, "lib/modules"), kept);
  await unpackKernel(await findKernel(path.join(root, "boot")), path.join(kept, "vmlinux"));
}

const unpackers: Readonly<Record<string, string>> = { "02214c18": "lz4", "28b52ffd": "zstd", fd377a58: "xz", "1f8b0800": "gzip" };

/**
 * @see the kernel's Documentation/arch/x86/boot.rst: setup_sects (0x1f1), payload_offset (0x248) and payload_length (0x24c).
 * The payload ends with its unpacked size in four bytes, which only gzip has by itself.
 */
async function unpackKernel(bootable: string, to: string): Promise<void> {
  const image = await readFile(bootable);
  const begin = ((image[0x1f1] || 4) + 1) * 512 + image.readUInt32LE(0x248);
  const payload = image.subarray(begin, begin + image.readUInt32LE(0x24c));
  const unpacker = unpackers[payload.subarray(0, 4).toString("hex")];
  if (unpacker === undefined)
    throw new Error("Unable to unpack the test guest's kernel: it is compressed in a way that is not known here.");
  await writeFile(`${to}.packed`, unpacker === "gzip" ? payload : payload.subarray(0, -4));
  await run("sh", ["-c", '"$1" -dc <"$2.packed" >"$2" && rm "$2.packed"', "sh", unpacker, to]);
}

/** The package behind the one that always means "the newest". */
async function packageName(): Promise<string | undefined> {
  const answer = await run("apt-cache", ["depends", "linux-image-cloud-amd64"]).catch(() => "");
  return /Depends: (linux-image-\S+-cloud-amd64)/.exec(answer)?.[1];
}

async function findKernel(boot: string): Promise<string> {
  const name = (await readdir(boot)).find((file) => file.startsWith("vmlinuz"));
  if (name === undefined) throw new Error("Unable to unpack the test guest's kernel: its package holds no vmlinuz.");
  return path.join(boot, name);
}

async function keepModules(from: string, kept: string): Promise<void> {
  const files = await readdir(from, { recursive: true });
  for (const module of moduleOrder) {
    const file = files.find((candidate) => new RegExp(`/${module}\\.ko(\\.xz)?$`).test(candidate));
    if (file === undefined) throw new Error(`Unable to unpack the test guest's kernel: its package holds no module ${module}.`);
    await copyFile(path.join(from, file), path.join(kept, path.basename(file)));
    if (file.endsWith(".xz")) await run("xz", ["--decompress", path.join(kept, path.basename(file))]);
  }
}
