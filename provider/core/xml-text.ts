/** Text of ours in XML. */

const names: Readonly<Record<string, string>> = { "<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;", "'": "&apos;" };

/**
 * Text for between tags and within quotes. Line breaks and tabs are numbers: in an attribute a reader makes spaces of them
 * (XML 1.0, 3.3.3), and fast-xml-parser's own builder (5.12.1) leaves them as they are.
 */
export function escaped(text: string): string {
  return text.replace(/[<>&"'\t\n\r]/g, (character) => names[character] ?? `&#${character.charCodeAt(0)};`);
}
