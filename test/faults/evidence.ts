/** What a broken move has shown and come to. */

export interface Evidence {
  /** For whoever looks for the cause. */
  outputs: { title: string; text: string }[];
  /** Whether what was to happen besides has happened. */
  thirdEvent: "came" | "did not come";
  /** Acknowledged records that the disk does not hold; undefined: nobody could look. */
  lost: number | undefined;
  /** Files of others that were removed or changed. */
  foreign: string[];
}

export function noEvidence(): Evidence {
  return { outputs: [], thirdEvent: "did not come", lost: undefined, foreign: [] };
}
