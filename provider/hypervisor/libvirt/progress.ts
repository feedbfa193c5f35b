/** How far a block job is, from `virsh blockjob --raw`. Pure. */

export interface Progress {
  cur: number;
  end: number;
}

export function progressIn(text: string): Progress {
  const number = (key: string) => Number(new RegExp(`^ *${key}=(\\d+)$`, "m").exec(text)?.[1] ?? 0);
  return { cur: number("cur"), end: number("end") };
}
