/** What `virsh blockjob --raw` tells of a disk's job. Pure. */

/** In bytes. */
export interface Progress {
  cur: number;
  end: number;
}

/** `progress` is absent where the answer does not tell it. */
export type BlockJob = { kind: "none" } | { kind: "unreadable" } | { kind: "job"; type: string; progress?: Progress };

/** Nothing at all is how virsh tells that there is no job (virshBlockJobInfo() in tools/virsh-domain.c, libvirt 9.0). */
export function blockJobIn(text: string): BlockJob {
  if (text.trim() === "") return { kind: "none" };
  const type = /^ *type=(\S.*)$/m.exec(text)?.[1]?.trim();
  if (type === undefined) return { kind: "unreadable" };
  const [cur, end] = ["cur", "end"].map((key) => new RegExp(`^ *${key}=(\\d+)$`, "m").exec(text)?.[1]);
  if (cur === undefined || end === undefined) return { kind: "job", type };
  return { kind: "job", type, progress: { cur: Number(cur), end: Number(end) } };
}

/** As a job of a disk has it: nothing where it is not known. */
export function progressOf(progress: Progress | undefined): { currentProgress?: number; totalProgress?: number } {
  return progress ? { currentProgress: progress.cur, totalProgress: progress.end } : {};
}
