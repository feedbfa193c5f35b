/** virsh's own quoting: commands are lines of words, and no text of a user's becomes anything but one word. */

import { UserError } from "../../core/errors.js";

/**
 * One word of a virsh command. Within single quotes nothing is special (vshCommandStringGetArg() in tools/vsh.c, libvirt 9.0), and
 * quoted parts that touch are one word. virsh reads its lines with readline, to which control characters are keys.
 * @throws UserError if it holds a control character
 */
export function word(text: string): string {
  for (const character of text) {
    if ((character.codePointAt(0) ?? 0) >= 32 && character !== "\u007f") continue;
    throw new UserError(`Unable to name ${JSON.stringify(text)} to virsh: it holds a control character. Give it another name.`);
  }
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A command of fixed words and options, and of words that somebody else chose. */
export function command(fixed: string, ...words: readonly string[]): string {
  return [fixed, ...words.map(word)].join(" ");
}
