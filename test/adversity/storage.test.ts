/** The destination's storage fills up in the middle of a move. What else may happen to it: at-length/storage.test.ts. */

import { describeStruck } from "./struck.js";

describeStruck([
  {
    ...{ title: "is full (ext4)", kind: "ext4", during: "copying" },
    strike: (storage) => storage.fill(1),
    says: /No space left on device\. [\d.]+ \w+ are still to be copied and [\d.]+ \w+ are free: free at least [\d.]+ \w+\. What is copied stays/,
    saysAgain: /free at least [\d.]+ \w+/,
    mend: (storage) => storage.free(),
  },
  {
    ...{ title: "is full (ext4)", kind: "ext4", during: "mirroring" },
    strike: (storage) => storage.fill(1),
    says: /is full: [\d.]+ \w+ are still to be written, [\d.]+ \w+ are free: free at least [\d.]+ \w+\. The job waits; the guest goes on writing to .*old\.qcow2, which is current/,
    saysAgain: /free at least [\d.]+ \w+/,
    mend: (storage) => storage.free(),
  },
  {
    ...{ title: "is full (tmpfs)", kind: "tmpfs", during: "mirroring" },
    strike: (storage) => storage.fill(1),
    says: /is full: .* free at least/,
    mend: (storage) => storage.resize(600),
  },
]);
