/** Where something lies on the host. */

/** @see WorkerDirectory.place */
export type NamedPlace = { directory: number; name: string };

/**
 * A name in a directory that the worker holds open, which keeps its meaning when directories above it are renamed; or an absolute path. Its
 * directory is then opened part by part: a link on the way is followed only if root, this account, or who has become root by sudo has put
 * it there (`foreign-link`). A link as the last part is never followed, but with `follow`: then it is what the path leads to.
 */
export type Place = NamedPlace | { path: string; follow?: true };

/** From one place to another. */
export interface FromTo {
  from: Place;
  to: Place;
}
