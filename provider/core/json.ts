/** JSON of others, for a schema to judge. Pure. */

/** Undefined where the text is not JSON: the schema then says what was expected. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
