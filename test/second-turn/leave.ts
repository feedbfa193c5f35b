/** Leave for a test to run once more when it has failed; without it a test that fails once has failed. */

const reason = "mayFail";

/**
 * To be called first in a test's body. Only for what is late on a machine under load by its nature: a deadline that can be longer is made
 * longer instead. A run names the tests that used this, with the reason, and counts them.
 * @param why what may go wrong once, as the end of "it may fail once, since …"
 */
export function mayHaveASecondTurn(context: Mocha.Context, why: string): void {
  context.retries(1);
  const test: Mocha.Runnable & { serialize?: () => object } = context.runnable();
  const serialize = test.serialize?.bind(test);
  // a worker tells the run of its tests by what `serialize` leaves of them (SerializableEvent, Mocha 12); only the failed turn is told of
  Object.assign(test, { [reason]: why, ...(serialize && { serialize: () => ({ ...serialize(), [reason]: why }) }) });
}

/** What a test said when it asked for leave, as the run hears of it; undefined where it did not ask. */
export function whyTwice(test: Mocha.Test): string | undefined {
  const why = (test as { [reason]?: unknown })[reason];
  return typeof why === "string" ? why : undefined;
}
