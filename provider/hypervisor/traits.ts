/** Where the hypervisors differ in what a flow must know, as data. */

export interface Traits {
  /**
   * What keeps a guest from writing in a switch. `pending`: its jobs, and the manifests say what is right until it goes on. `suspended`: it
   * stands still until it is seen where it runs, so where it runs is right.
   */
  readonly switching: "pending" | "suspended";
  /** Whether a mirror that fails stays there with its reason, or is gone, and nobody tells why. */
  readonly failedMirror: "stays" | "vanishes";
  /** Whether a look tells of pulls, or each disk has to be asked (`lookForPull`). */
  readonly pulls: "told" | "by-disk";
  /** What a mirror is begun onto: an image, or an empty file of which the hypervisor makes the image. */
  readonly mirrorsOnto: "image" | "empty-file";
  /** How a header names what its image stands on, after a step of ours: as we ask, or as the hypervisor likes. */
  readonly backingNames: "as-asked" | "its-own";
  /** What a commit writes down of what lives in an image: all, or not its bitmaps and internal snapshots. */
  readonly commitKeeps: "all" | "data";
  /** On what a freeze puts its overlay: the image that it names, or it is refused; or what is active in that moment, as somebody's new overlay. */
  readonly freezesOnto: "named" | "active";
}
