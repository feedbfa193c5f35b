/** The one place where text becomes part of a shell's command line. */

import { UserError } from "../core/errors.js";

/** One word for a POSIX shell, whatever it holds: blanks, newlines, quotes, `$(…)`. @throws UserError if it holds a NUL, which no argument can */
export function quote(word: string): string {
  if (word.includes("\0"))
    throw new UserError(`Unable to pass ${JSON.stringify(word)} to the host: it holds a NUL character. Take it out.`);
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Text for a POSIX shell that runs a fixed script with `$1`, `$2`, … set. A leading dash of an argument is no option: `set --`. */
export function scriptText(script: string, args: readonly string[]): string {
  return `set -- ${args.map(quote).join(" ")}\n${script}`;
}

/**
 * What the account's login shell is asked to run, be it sh, bash, zsh, fish or csh: between these quotes nothing is special in any of them
 * (fish takes backslashes in single quotes, csh exclamation marks). All else follows on standard input, for the sh that is then there.
 * `read` takes no byte beyond the line's end from a pipe (POSIX, read), so what follows is left for the script.
 */
const firstLine = `sh -c 'IFS= read -r first; eval "$first"'`;
/**
 * @host sh, sudo
 * @for connection
 * @does starts a shell through the account's login shell, with `sudo -n` where `privilege` is `sudo`; what runs in it comes on standard
 *   input, through `base64 -d`
 * @changes nothing
 * @as the account that signs in; `sudo -n` makes it the account of all that follows
 * @why all other programs run in such a shell
 */
export const loginCommand = { user: `exec ${firstLine}`, sudo: `exec sudo -n ${firstLine}` } as const;

/** What is found on PATH, and in which language programs answer. Daemons and their tools are not in every account's PATH. */
const surroundings = "LC_ALL=C; PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL PATH";

/**
 * The one line that `loginCommand` waits for. It marks where the login shell's own greetings end, on both outputs,
 * then becomes the script. In base64, since the script has more than one line.
 */
export function firstLineText(token: string, script: string, args: readonly string[]): string {
  const text = Buffer.from(`${surroundings}\n${scriptText(script, args)}`).toString("base64");
  return `printf '%s\\n' ${token}; printf '%s\\n' ${token} >&2; text=$(printf %s ${text} | base64 -d) || exit; eval "$text"\n`;
}
