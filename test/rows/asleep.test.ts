/** A run that slept while others moved the disk there and back: it does not go on as if nobody had been there. */

import { passNights, slow } from "../adversity/night.js";

const others = ["path2", "path1"] as const;

describe("a run that falls asleep, while others move the disk there and back,", function () {
  this.timeout(300_000);

  passNights([
    { doing: "copies", settings: slow, destination: "path2", at: /vda copying/, others },
    { doing: "compares its copy", settings: { verify: "full" }, destination: "path2", at: /vda comparing/, others },
    { doing: "mirrors", settings: slow, destination: "path2", at: /vda mirroring/, others },
  ]);
});
