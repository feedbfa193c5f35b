/** The destination's storage is full, fails, turns read-only or vanishes in the middle of a move. */

import { describeStruck } from "../struck.js";

const readOnly = /Read-only file system/;
const broken = /Input\/output error|No space left on device|has no space left|Read-only file system|I\/O errors/;

describeStruck([
  {
    ...{ title: "is full (tmpfs)", kind: "tmpfs", during: "copying" },
    strike: (storage) => storage.fill(1),
    says: /No space left on device\. [\d.]+ \w+ are still to be copied and [\d.]+ \w+ are free: free at least [\d.]+ \w+/,
    mend: (storage) => storage.free(),
  },
  {
    ...{ title: "gets errors from its disk", kind: "ext4", during: "copying", anew: true },
    strike: (storage) => storage.failBelow(4),
    says: broken,
    mend: async (storage) => {
      await storage.mendBelow();
      await storage.mountAnew();
    },
  },
  {
    ...{ title: "gets errors from its disk", kind: "ext4", during: "mirroring", anew: true },
    strike: (storage) => storage.failBelow(4),
    says: broken,
    saysAgain: broken,
    mend: async (storage, letGo) => {
      await storage.mendBelow();
      await letGo();
      await storage.mountAnew();
    },
  },
  {
    ...{ title: "turns read-only", kind: "ext4", during: "copying", anew: true },
    strike: (storage) => storage.turnReadOnly(),
    says: readOnly,
    saysAgain: readOnly,
    mend: (storage) => storage.mountAnew(),
  },
  {
    ...{ title: "turns read-only", kind: "ext4", during: "mirroring", anew: true },
    strike: (storage) => storage.turnReadOnly(),
    says: /I\/O errors|Read-only file system/,
    saysAgain: readOnly,
    mend: (storage) => storage.mountAnew(),
  },
  {
    ...{ title: "vanishes", vanishes: true, kind: "ext4", during: "copying", anew: true },
    strike: (storage) => storage.vanish(),
    says: /its partial was taken away|is another directory than when the move began\. Mount its storage again/,
    saysAgain: /is another directory than when the move began\. Mount its storage again/,
    mend: (storage) => storage.mount(),
  },
  {
    ...{ title: "vanishes", vanishes: true, kind: "ext4", during: "mirroring" },
    strike: (storage) => storage.vanish(),
    says: /old\.qcow2 is not there any more as this move made it, so a boot would not find the disk\. The guest goes on writing to .*, which is current/,
    saysAgain: /is not there any more as this move made it/,
    mend: (storage) => storage.mount(),
  },
]);
