/** Where something lies on the host. */

/**
 * A name in a directory that the worker holds open, which keeps its meaning when directories above it are renamed; or an absolute path where
 * nobody else may write in those. A link as the last part is never followed.
 */
export type Place = { directory: number; name: string } | { path: string };

/** From one place to another. */
export interface FromTo {
  from: Place;
  to: Place;
}
