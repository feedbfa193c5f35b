/**
 * Text for logs. What hosts, QEMU and libvirt say goes into our sentences, so it is shown here as what it is: nothing in it moves a
 * terminal's cursor, turns text around, starts a line or is a command to a CI that reads the log. Names in any script stay as they are.
 */

/** Longer words of a host are cut in their middle: what happened stands at the start, what to do at the end. */
const charactersAtMost = 16 * 1024;
const keptAtTheEnd = 4 * 1024;

/** C0 and C1, what turns text around (bidi), and what some readers take for a line's end; a byte order mark. */
const control = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * Commands in a log, as runners read them: `::error::` at a line's start, after blanks (GitHub's ActionCommand.TryParseV2()), `##[error]`
 * (TryParse()) and `##vso[` anywhere in a line, `##teamcity[`.
 */
const atLineStart = /^(\s*):(?=:)/;
const anywhere = /##(?=[a-z]*\[)/gi;

/** One line without anything that is not text: `\x1b`, `\u202e`, `\n` stand for what they name. */
export function plainLine(text: string): string {
  return shown(shortened(text).toWellFormed());
}

/** {@link plainLine} of each line: for stacks, which have many. */
export function plainLines(text: string): string {
  return shortened(text).toWellFormed().split("\n").map(shown).join("\n");
}

function shown(line: string): string {
  return line.replace(control, escaped).replace(anywhere, "#\\x23").replace(atLineStart, "$1\\x3a");
}

const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escaped(character: string): string {
  const code = character.charCodeAt(0);
  return named[character] ?? (code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`);
}

function shortened(text: string): string {
  const left = text.length - charactersAtMost;
  if (left <= 0) return text;
  return `${text.slice(0, charactersAtMost - keptAtTheEnd)} … (${left} characters are left out) … ${text.slice(-keptAtTheEnd)}`;
}
