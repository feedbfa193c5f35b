/** How a run of tests ends. */

import { judge, type KnownBroken, type Result } from "./known-broken.js";

/** Says all that is to be known of the tests that did not simply pass, then how many had a second turn, then the two figures on a line of their own. @returns the exit status */
export function report(results: readonly Result[], known: KnownBroken, scope: "all" | "some"): 0 | 1 {
  const { passed, failed, skipped, broken, again, complaints } = judge(results, known, scope);
  for (const { title } of broken) console.log(`Known to be broken: ${title} (${known[title]})`);
  for (const complaint of complaints) console.log(complaint);
  for (const { title, firstFailure, mayFail } of again) {
    console.log(`Second turn: ${title} (it failed with: ${firstFailure}; it may fail once, since ${mayFail})`);
  }
  if (skipped > 0) console.log(`${skipped} ${skipped === 1 ? "test was" : "tests were"} skipped`);
  console.log(`${again.length} ${again.length === 1 ? "test" : "tests"} needed a second turn`);
  console.log(`${passed} passed, ${failed} failed`);
  return failed > 0 || passed === 0 ? 1 : 0;
}
