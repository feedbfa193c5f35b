/** A program called virsh that a host finds on its PATH, and that answers as a test says: a guest of libvirt's without libvirtd. */

import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { ShellHost } from "../../host/shell-host.js";
import { makeFolder } from "../../sandbox/folders.js";
import { LocalConversation, type LocalHost } from "../qemu/local-host.js";

/** As virsh with readline: each line is echoed behind a prompt, and its own echo ends no line. A command is answered by the longest start of it that has an answer. */
const program = (room: string) => `#!/bin/sh
while IFS= read -r line; do
  printf 'virsh # %s\\n' "$line"
  case $line in
    '') ;;
    'echo '*) printf %s "\${line#echo }" ;;
    *)
      printf '%s\\n' "$line" >>'${room}/asked'
      key=$line
      until [ -f "${room}/$key" ]; do case $key in *' '*) key=\${key% *} ;; *) break ;; esac; done
      [ -f "${room}/$key" ] && cat "${room}/$key" || echo "error: unknown command: '$key'"
      [ ! -f "${room}/$key.next" ] || mv "${room}/$key.next" "${room}/$key"
      ;;
  esac
done
`;

/** This machine, where virsh is the test's. */
class VirshHost extends ShellHost {
  constructor(private readonly variables: NodeJS.ProcessEnv) {
    super();
  }

  override async open(script: string, args: readonly string[] = []): Promise<LocalConversation> {
    return new LocalConversation(script, args, this.variables);
  }
}

export class VirshProgram implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly host: LocalHost,
    readonly remove: () => Promise<void>,
  ) {}

  static async make(): Promise<VirshProgram> {
    const { path: folder, remove } = await makeFolder("livedisk-virsh-");
    await writeFile(path.join(folder, "virsh"), program(folder));
    await chmod(path.join(folder, "virsh"), 0o755);
    const host = new VirshHost({ ...process.env, PATH: `${folder}:${process.env.PATH}` });
    return new VirshProgram(folder, host, remove);
  }

  /** What is answered to commands that begin so; a second text from the second question on. */
  async answer(start: string, text: string, then?: string): Promise<void> {
    await writeFile(path.join(this.folder, start), text);
    if (then !== undefined) await writeFile(path.join(this.folder, `${start}.next`), then);
  }

  async answers(all: Readonly<Record<string, string>>): Promise<void> {
    for (const [start, text] of Object.entries(all)) await this.answer(start, text);
  }

  /** The commands since the last question, but for the looks that begin so. */
  async asked(...but: readonly string[]): Promise<string[]> {
    const file = path.join(this.folder, "asked");
    const lines = (await readFile(file, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
    await rm(file, { force: true });
    return lines.filter((line) => !but.some((start) => line.startsWith(start)));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }
}
