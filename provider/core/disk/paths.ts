/** Paths on a host: always absolute, always with slashes, whatever machine we run on. */

import { posix } from "node:path";
import { z } from "zod";

/** A path on the host, for zod; `argument` names it in the message. */
export function absolutePath(argument: string) {
  return z
    .string({ error: `${argument} is a path: a text that begins with "/"` })
    .refine((path) => path.startsWith("/"), { error: `${argument} must be an absolute path on the host: it begins with "/"` })
    .refine((path) => !path.includes("\0"), { error: `${argument} must not contain a NUL byte` })
    .refine((path) => !path.includes("\n"), { error: `${argument} must not contain a line break` })
    .transform(normalPath);
}

/** Without double slashes, `.` and a slash at the end; `..` stays, since a link may stand before it. */
export function normalPath(path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return `${path.startsWith("/") ? "/" : ""}${parts.join("/")}`;
}

export const directoryOf = posix.dirname;
export const baseName = posix.basename;

/** `name` inside `directory`; an absolute name is itself. */
export function within(directory: string, name: string): string {
  return name.startsWith("/") ? name : directory === "/" ? `/${name}` : `${directory}/${name}`;
}
