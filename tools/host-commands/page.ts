/** Writes docs/host-commands.md from the headers in provider/. `npm run host-commands`; a test fails where the page is another. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { groups } from "./headers.js";
import { hostCommands, type Listed } from "./listing.js";

const top = `# What runs on hosts

For the people who grant the account and those who audit it: every program, every command to libvirt and every command to QEMU that this package
runs on a host, what it changes, as whom, and why. \`npm run host-commands\` makes this page from the headers beside the programs, in
\`provider/\`. \`test/host-commands.test.ts\` compares both with the code: nothing runs that is not on this page.

**How it runs.** Over SSH. A shell is started by \`sh -c 'IFS= read -r first; eval "$first"'\`, with \`privilege: "sudo"\` by \`sudo -n\` and the
same words; sudo's log shows no more than that. Scripts come on its standard input. They are fixed texts of this package: paths and names
are quoted arguments, and no text from a user, a guest or a host is part of a script. In commands to virsh such texts are quoted words, in commands to QEMU
they are JSON strings. \`LC_ALL\` is \`C\`, and the \`sbin\` directories are
at the end of \`PATH\`.

**What the worker does by itself,** without a program: it looks at files and file systems (which file it is, its size, times, mode, owner and kind; where a path leads; how much room there is), and in
/proc and /proc/locks at who has an image open, which process listens at a monitor, and which files that has open; it reads the kernel's boot id and /etc/machine-id, else the host's name; it connects to monitors, and it takes the locks of a move: a file \`lm-<key>.lock\` beside each
manifest (both in \`host.stateDirectory\` while there is no room beside the image; root makes that directory, mode 0700), mode 0600, made, locked with flock(2), written with who holds it, and removed at the end together with the disk's last manifest. It writes manifests, what they say after a switch, before it and in its middle
(\`.next\`, \`.back\`, \`.mark\`), switch records, a probe file in the destination, and the empty file that takes a raw image's name: each whole, under a random name (\`.livedisk-…\`), with owner and mode,
synced, then renamed. It makes the links beside \`link\` and re-points \`link\`, each by one rename; renames images within their file system, never over another file; and removes files and links that a move
made and that nothing uses any more, never directories, with \`afterwards: "delete"\` also the former image, after the guest is seen on the other side. It syncs each directory then. Directories are opened part by part,
past no link that somebody else could have put there, and names are used against the open directory. It copies layers:
it locks the layer's sidecar (\`.lm-layer\`, mode 0600) with flock(2), and writes into it how far the copy is; it makes a partial file (\`.lm-partial-…\`, mode 0600) exclusively, shares
blocks or copies the data into it, past the page cache where it can, gives it the source's owner, mode and attributes, and then the layer's name, never over another file. The
source is only read. When the last move that stands on a layer is undone, it removes the layer or its partial, if it is the file that the sidecar records as ours and nobody is seen to have it
open, and then the sidecar. Before a move with \`link\`, and before the switch that re-points it, it reads the command lines of the QEMUs that run, in /proc, and libvirt's definitions in \`/etc/libvirt/qemu\`: no other guest may
find a file through that link.

**As whom.** "The account" below is the one that signs in; with \`privilege: "sudo"\` it is root, or the user whom the sudo rule names.

**What it needs.** A shell, python3, the programs below, and to read, write and search the directories of the active images, the destination and the
directory of \`link\` (of a mirrored snapshot those of its \`file\` and \`mirror\`); to write to the monitor's socket, or to use \`virsh\`. With \`sudo\` one line, here for root; for another user see
[SECURITY.md](../SECURITY.md), which has all four ways:

\`\`\`
deploy ALL=(root) NOPASSWD: /usr/bin/sh
\`\`\`

**What is never done.** Nothing is installed and no port is opened. No service, no crontab, no configuration of sshd or QEMU is changed; of
libvirt's configuration only the place of a moved disk, in the domain's own definition. No guest is started, stopped or reset; through libvirt it is suspended for
the moment of a switch, and resumed. No directory is removed except our own temporary ones. Files are written in the directories above, in
\`$TMPDIR\` (\`/tmp\`), in \`host.stateDirectory\` where a source is full, and for a switch on libvirt a lock file in \`/run\` or \`~/.pulumi-livedisk\`, which is removed when the switch is over; \`host.stateDirectory\` and \`~/.pulumi-livedisk\` stay. When the
client is gone, nothing keeps running except the command that is at work right then, until its end, and a switch, until that has ended: on libvirt until the guest runs again.
`;

/** @param listed as {@link hostCommands} finds it */
export function page(listed: readonly Listed[]): string {
  const tables = Object.entries(groups).map(([group, title]) => {
    const rows = listed.filter((each) => each.group === group).map(row);
    return [
      `## ${title}`,
      "",
      "| what runs | what it does | what it changes | as whom | why | where |",
      "|---|---|---|---|---|---|",
      ...rows,
      "",
    ];
  });
  return [top, names(listed), ...tables.flat()].join("\n");
}

/** All names once, for who looks for one. */
function names(listed: readonly Listed[]): string {
  const all = [...new Set(listed.flatMap(({ programs }) => programs))].sort();
  const of = (kind: string) => all.filter((name) => name.startsWith(`${kind} `)).map((name) => `\`${name.slice(kind.length + 1)}\``);
  const programs = all.filter((name) => !name.includes(" ")).map((name) => `\`${name}\``);
  return [
    `**Programs**, besides what a shell does by itself: ${programs.join(", ")}.`,
    "",
    `**Commands of virsh**: ${of("virsh").join(", ")}.`,
    "",
    `**Commands to QEMU's monitor**: ${of("QMP").join(", ")}.`,
    "",
  ].join("\n");
}

function row({ programs, does, changes, as, why, file, name }: Listed): string {
  const cells = [programs.map((program) => `\`${program}\``).join(", "), does, changes, as, why, `\`${file}\` \`${name}\``];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

if (require.main === module) {
  const { listed, problems } = hostCommands();
  assert.deepEqual(problems, []);
  writeFileSync(path.resolve(__dirname, "../../../docs/host-commands.md"), page(listed));
}
