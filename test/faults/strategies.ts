/** The moves that are broken: each strategy with its endings, and how the guest's command line finds the disk. */

import type { Properties } from "../../provider/core/lifecycle.js";

export const strategies = ["mirror", "commit", "pull", "none"] as const;
export type Strategy = (typeof strategies)[number];

export interface Way {
  /** By what the guest is booted when all is well, as e2e/stage.ts has it. */
  through: "link" | "directory";
  settings: Properties;
}

const snapshot = { strategy: "snapshot", restartDuringMove: "from-manifest" };

export const wayOf: Readonly<Record<Strategy, Way>> = {
  mirror: { through: "link", settings: {} },
  commit: { through: "link", settings: { ...snapshot, collapse: "commit" } },
  pull: { through: "directory", settings: { ...snapshot, collapse: "pull" } },
  none: { through: "directory", settings: { ...snapshot, collapse: "none" } },
};
