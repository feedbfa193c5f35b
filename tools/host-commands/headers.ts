/** The headers beside what runs on hosts: `@host` in a doc comment, and what follows it there. CONTRIBUTING.md says how one is written. */

import ts from "typescript";

/** What a program is for: the page's tables, in their order. */
export const groups = {
  connection: "Signing in",
  reading: "Reading",
  locks: "Locks",
  images: "Images",
  copying: "Copying layers",
  monitor: "QEMU, through its monitor",
  libvirt: "libvirt, through virsh",
  switching: "Switching",
  "clean-up": "Clean-up",
} as const;

export interface Header {
  /** Programs that are started; `virsh X` and `QMP X` for commands that go to libvirt and QEMU, `sh` where the shell alone is enough. */
  programs: readonly string[];
  group: string;
  does: string;
  changes: string;
  as: string;
  why: string;
}

export type Headed = { headers: readonly Header[]; lacking: readonly string[] };

const fields = ["for", "does", "changes", "as", "why"] as const;

/**
 * One comment may hold several headers; each begins with `@host`, and has `@for` and `@as` of the one before where it leaves them out.
 * Undefined where there is none.
 */
export function headersOf(node: ts.Node): Headed | undefined {
  const found: Map<string, string>[] = [];
  for (const tag of ts.getJSDocTags(node)) {
    const name = tag.tagName.text;
    const text = (ts.getTextOfJSDocComment(tag.comment) ?? "").replace(/\s+/g, " ").trim();
    if (name === "host") found.push(new Map([...(found.at(-1) ?? [])].filter(([field]) => field === "for" || field === "as")));
    if (name === "host" || fields.some((field) => field === name)) found.at(-1)?.set(name, text);
  }
  if (found.length === 0) return undefined;
  return { headers: found.map(headerIn), lacking: found.flatMap(lackingIn) };
}

function headerIn(tags: ReadonlyMap<string, string>): Header {
  const tag = (name: string) => tags.get(name) ?? "";
  const programs = tag("host").split(/, */);
  return { programs, group: tag("for"), does: tag("does"), changes: tag("changes"), as: tag("as"), why: tag("why") };
}

function lackingIn(tags: ReadonlyMap<string, string>): string[] {
  const empty = ["host", ...fields].filter((name) => !tags.get(name)).map((name) => `its header lacks @${name}`);
  const group = tags.get("for");
  return group && !(group in groups) ? [...empty, `its header has the unknown @for ${group}`] : empty;
}
